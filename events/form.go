package events

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// MaxParams bounds the parameters of one callback. The fullest one that Twilio
// documents has about 20, a TaskRouter conference's about 30.
const MaxParams = 64

// ErrTooManyParams is returned for a form with more parameters than allowed.
var ErrTooManyParams = &FormError{Field: formField, Reason: "has too many parameters"}

var errNotUTF8 = &FormError{Field: formField, Reason: "is not UTF-8"}

// formField stands for the whole form in a FormError.
const formField = "form"

// ParseForm parses application/x-www-form-urlencoded: names and values in the order received,
// duplicates kept. It is strict where a lenient parser would hide what was sent: a bad escape,
// invalid UTF-8, an empty name and more than limit parameters are errors, each a *FormError.
//
// It allocates the slice and, if anything is escaped, one string.
func ParseForm(raw string, limit int) (Params, error) {
	if raw == "" {
		return nil, nil
	}
	count := strings.Count(raw, "&") + 1
	if count > limit {
		return nil, ErrTooManyParams
	}
	if !utf8.ValidString(raw) {
		return nil, errNotUTF8
	}
	var d decoder
	return d.form(make(Params, 0, count), raw)
}

// Encode writes the parameters as a form, in their order.
func (p Params) Encode() string {
	var b strings.Builder
	for i := range p {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(p[i].Name))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(p[i].Value))
	}
	return b.String()
}

// decoder unescapes the pieces of forms into buffers. A buffer never moves, so
// that its pieces may be kept; when it is full, a new one replaces it.
type decoder struct {
	text strings.Builder
	size int // of the form
	// trusted: the form was checked to be UTF-8 before.
	trusted bool
}

// maxBuffer bounds a buffer for several forms, in bytes: one piece that is kept
// keeps all of it in memory.
const maxBuffer = 4096

// form appends the parameters of a form; after an error it returns none.
func (d *decoder) form(params Params, raw string) (Params, error) {
	d.size = len(raw)
	for more := true; more; {
		var pair string
		pair, raw, more = strings.Cut(raw, "&")
		p, err := d.pair(pair)
		if err != nil {
			return nil, err
		}
		params = append(params, p)
	}
	return params, nil
}

func (d *decoder) pair(pair string) (Param, error) {
	name, value, _ := strings.Cut(pair, "=")
	if name == "" {
		return Param{}, &FormError{Field: formField, Reason: "has a parameter without a name"}
	}
	if !escaped(pair) {
		return Param{Name: name, Value: value}, nil
	}
	var p Param
	var err error
	if p.Name, err = d.decode(name); err != nil {
		return Param{}, err
	}
	p.Value, err = d.decode(value)
	return p, err
}

// escaped reports whether s contains an escape: %XX, or + for a space.
func escaped(s string) bool {
	return strings.IndexByte(s, '%') >= 0 || strings.IndexByte(s, '+') >= 0
}

func (d *decoder) decode(s string) (string, error) {
	if !escaped(s) {
		return s, nil
	}
	if free := d.text.Cap() - d.text.Len(); free < len(s) {
		size := max(d.size, min(2*d.text.Cap(), maxBuffer))
		d.text.Reset()
		d.text.Grow(size)
	}
	start := d.text.Len()
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '+':
			d.text.WriteByte(' ')
		case '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return "", &FormError{Field: formField, Reason: "has a bad escape"}
			}
			d.text.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		default:
			d.text.WriteByte(s[i])
		}
	}
	text := d.text.String()[start:]
	if !d.trusted && !utf8.ValidString(text) {
		return "", errNotUTF8
	}
	return text, nil
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
