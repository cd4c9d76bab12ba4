package events

// Param is one name and its value, decoded.
type Param struct {
	Name  string
	Value string
}

// Params are names and values in the order received. They are a slice, not a map:
// order and duplicates are evidence, and a callback has about sixteen parameters.
type Params []Param

// Get returns the first value of name, or "".
func (p Params) Get(name string) string {
	v, _ := p.Lookup(name)
	return v
}

// Lookup returns the first value of name and whether name occurs.
func (p Params) Lookup(name string) (string, bool) {
	for i := range p {
		if p[i].Name == name {
			return p[i].Value, true
		}
	}
	return "", false
}
