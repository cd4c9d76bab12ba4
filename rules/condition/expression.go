package condition

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// Expression is a compiled text with CEL in ${...}; $${ stands for ${ itself.
// It is safe for concurrent use.
type Expression struct {
	text  string
	parts []part
	// Unguarded are where it computes something from a time that may be missing.
	Unguarded []Unguarded
}

// part is a piece of text, or an expression that is replaced with its value.
type part struct {
	text    string
	program cel.Program
	reads   map[string]bool
	// unguarded are places within the code.
	unguarded []Unguarded
}

// CompileText compiles a text that contains expressions, or returns all mistakes in them.
func CompileText(text string) (*Expression, []Fault) {
	x := &Expression{text: text}
	var faults []Fault
	for at := 0; at < len(text); {
		next := cutPart(text[at:])
		if next.literal != "" {
			x.parts = append(x.parts, part{text: next.literal})
		}
		if next.open {
			faults = append(faults, moved(text[:at+next.codeAt-len("${")], Fault{Line: 1, Message: "${ is never closed; write $${ for the characters themselves"}))
		} else if next.code != "" {
			p, found := compilePart(next.code)
			x.parts = append(x.parts, p)
			for _, f := range found {
				faults = append(faults, moved(text[:at+next.codeAt], f))
			}
			for _, u := range p.unguarded {
				f := moved(text[:at+next.codeAt], Fault{Line: u.Line, Column: u.Column})
				x.Unguarded = append(x.Unguarded, Unguarded{f.Line, f.Column, u.Read})
			}
		}
		at += next.length
	}
	if faults != nil {
		return nil, faults
	}
	return x, nil
}

// CompileValue compiles CEL alone, without ${ }: the result is its value as a text.
func CompileValue(code string) (*Expression, []Fault) {
	p, faults := compilePart(code)
	if faults != nil {
		return nil, faults
	}
	return &Expression{text: code, parts: []part{p}, Unguarded: p.unguarded}, nil
}

// cut is the front of a text: what comes before the next ${, and the code in it.
type cut struct {
	literal, code  string
	codeAt, length int
	open           bool // the closing } is missing
}

func cutPart(text string) cut {
	var literal strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], "$${"):
			literal.WriteString("${")
			i += len("$${") - 1
		case strings.HasPrefix(text[i:], "${"):
			c := cut{literal: literal.String(), codeAt: i + len("${")}
			end := closing(text[c.codeAt:])
			c.open = c.codeAt+end == len(text)
			c.code = text[c.codeAt : c.codeAt+end]
			if c.code == "" {
				c.code = " " // CEL reports empty code as a fault
			}
			c.length = min(len(text), c.codeAt+end+len("}"))
			return c
		default:
			literal.WriteByte(text[i])
		}
	}
	return cut{literal: literal.String(), length: len(text)}
}

// closing returns the place of the } that closes code: the first one outside
// quotes and inner braces. It returns the length of code if there is none.
func closing(code string) int {
	depth, quote := 0, byte(0)
	for i := 0; i < len(code); i++ {
		c := code[i]
		switch {
		case quote != 0 && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '{':
			depth++
		case c == '}' && depth == 0:
			return i
		case c == '}':
			depth--
		}
	}
	return len(code)
}

// moved moves a fault of code to its place in the whole text, behind before.
func moved(before string, f Fault) Fault {
	if f.Line == 1 {
		f.Column += utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	}
	f.Line += strings.Count(before, "\n")
	return f
}

func compilePart(code string) (part, []Fault) {
	checked, faults := check(code)
	if faults != nil {
		return part{}, faults
	}
	switch out := checked.OutputType(); out.Kind() {
	case types.StringKind, types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.DurationKind, types.TimestampKind:
	default:
		return part{}, []Fault{{Line: 1, Message: fmt.Sprintf("a %s is not a text", cel.FormatCELType(out))}}
	}
	found, faults := examine(checked, false)
	if faults != nil {
		return part{}, faults
	}
	if _, faults = program(checked); faults != nil { // too costly
		return part{}, faults
	}
	p, err := showTimes(checked)
	if err != nil {
		return part{}, []Fault{{Line: 1, Message: plainly(err.Error())}}
	}
	return part{program: p, reads: found.reads, unguarded: found.Unguarded}, nil
}

// String returns the expression as it was written.
func (x *Expression) String() string { return x.text }

// Constant returns the text if it contains no expression.
func (x *Expression) Constant() (text string, constant bool) {
	for _, p := range x.parts {
		if p.program != nil {
			return "", false
		}
		text += p.text
	}
	return text, true
}

// Uses reports whether the expression reads a variable.
func (x *Expression) Uses(variable string) bool {
	for _, p := range x.parts {
		if p.reads[variable] {
			return true
		}
	}
	return false
}

// Text evaluates the expression. An error wraps ErrNoValue.
func (x *Expression) Text(v Vars) (string, error) {
	var b strings.Builder
	r := Read(v)
	for _, p := range x.parts {
		if p.program == nil {
			b.WriteString(p.text)
			continue
		}
		out, _, err := p.program.Eval(r)
		if err != nil {
			return "", fmt.Errorf("evaluate text: %w", noValue(err))
		}
		text, ok := shown(out).(types.String)
		if !ok {
			return "", fmt.Errorf("evaluate text: %w", ErrNoValue)
		}
		b.WriteString(string(text))
	}
	return b.String(), nil
}
