package events

import (
	"math/bits"
	"strings"
)

// clearTexts refuses a free text that reads like a parameter: one that contains the name of a
// fixed-form parameter, absent from this event, directly followed by a value of its form. The
// signed text is a concatenation, so the form is checked as strictly as the signature.
func (r *reading) clearTexts() error {
	for i := range r.params {
		p := &r.params[i]
		place, known := parameterNamed(p.Name)
		if !known || !parameters[place].free() {
			continue
		}
		if r.hides(p.Value, len(p.Value)) || r.shortened(place, p.Value) {
			return &FormError{Field: p.Name, Reason: "holds another parameter"}
		}
	}
	if r.unknown {
		return r.clearSigned()
	}
	return nil
}

// clearSigned makes the same check on the whole signed text, where an unknown parameter may stand
// beside a free text. A match must begin in a free text or in an unknown parameter.
func (r *reading) clearSigned() error {
	var room [MaxParams]uint8
	sorted := r.byName(room[:0])
	text := r.signed(sorted)
	for _, i := range sorted {
		p := &r.params[i]
		length := len(p.Name) + len(p.Value)
		place, known := parameterNamed(p.Name)
		switch {
		case !known && r.hides(text, length):
			return &FormError{Field: unknownField, Reason: "holds another parameter"}
		case known && parameters[place].free() && r.hides(text[len(p.Name):], len(p.Value)):
			return &FormError{Field: p.Name, Reason: "holds another parameter"}
		}
		text = text[length:]
	}
	return nil
}

// byName appends the indexes of the parameters in the order of their names.
// Inserting sixteen of them costs less than any general sort.
func (r *reading) byName(sorted []uint8) []uint8 {
	for i := range r.params {
		at := len(sorted)
		sorted = append(sorted, uint8(i))
		for ; at > 0 && r.params[sorted[at-1]].Name > r.params[i].Name; at-- {
			sorted[at] = sorted[at-1]
		}
		sorted[at] = uint8(i)
	}
	return sorted
}

// signed concatenates names and values as Twilio does to sign them.
func (r *reading) signed(sorted []uint8) string {
	size := 0
	for i := range r.params {
		size += len(r.params[i].Name) + len(r.params[i].Value)
	}
	var text strings.Builder
	text.Grow(size)
	for _, i := range sorted {
		text.WriteString(r.params[i].Name)
		text.WriteString(r.params[i].Value)
	}
	return text.String()
}

// shortened reports whether the parameter's name and its value together begin like
// an absent parameter with a longer name.
func (r *reading) shortened(place int, value string) bool {
	name := parameters[place].name
	for _, longer := range longerThan[place] {
		p := &parameters[longer]
		rest, found := strings.CutPrefix(value, p.name[len(name):])
		if found && r.there&(1<<longer) == 0 && p.opens(rest) {
			return true
		}
	}
	return false
}

// longerThan are the parameters whose names begin with another's.
var longerThan = func() (table [parameterCount][]int) {
	for place := range parameters {
		for longer := range parameters {
			if longer != place && strings.HasPrefix(parameters[longer].name, parameters[place].name) {
				table[place] = append(table[place], longer)
			}
		}
	}
	return table
}()

// free reports whether a value of this form can hold anything.
func (p *parameter) free() bool {
	return p.form == formText || p.form == formURL || p.form == formEvent
}

// shortestHidden is the length of the shortest name and value: "Hold", "true".
const shortestHidden = 8

// byInitial are the parameters that can be recognized in a text, by the first
// letter of their names.
var byInitial = func() (table [26]set) {
	for place := range parameters {
		if p := &parameters[place]; p.form != formText || p.distinct {
			table[p.name[0]-'A'] |= 1 << place
		}
	}
	return table
}()

// hides reports whether an absent parameter with its value begins within the
// first bytes of text, as many as starts.
func (r *reading) hides(text string, starts int) bool {
	for i := 0; i < starts && i+shortestHidden <= len(text); i++ {
		initial := text[i] - 'A'
		if initial >= 26 {
			continue
		}
		for absent := byInitial[initial] &^ r.there; absent != 0; absent &= absent - 1 {
			p := &parameters[bits.TrailingZeros64(uint64(absent))]
			if rest, found := strings.CutPrefix(text[i:], p.name); found && p.opens(rest) {
				return true
			}
		}
	}
	return false
}
