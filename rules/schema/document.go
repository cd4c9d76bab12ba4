package schema

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Node is one value of a rule file whose form is correct. Its methods may be
// called on nil, which is a missing value.
type Node struct {
	At    Place
	text  string // of a value without parts
	keys  map[string]*Node
	order []string // keys, in their order in the file
	items []*Node
}

// Place is a line and a column, from 1.
type Place struct{ Line, Column int }

// Key returns the value of a key, or nil.
func (n *Node) Key(name string) *Node { return n.orMissing().keys[name] }

// Keys returns the keys in their order in the file.
func (n *Node) Keys() []string { return n.orMissing().order }

// Items returns the items of a list.
func (n *Node) Items() []*Node { return n.orMissing().items }

// Text returns the text of a value without parts; "" if it is missing.
func (n *Node) Text() string { return n.orMissing().text }

func (n *Node) orMissing() *Node { return cmp.Or(n, &Node{}) }

// Lines returns the value and everything in it, a line for each text, in an
// order that does not depend on its order in the file: "name=...", "do.0.end".
func (n *Node) Lines() []string {
	var lines []string
	n.addLines("", &lines)
	slices.Sort(lines)
	return lines
}

func (n *Node) addLines(path string, lines *[]string) {
	if n == nil {
		return
	}
	*lines = append(*lines, path+"="+n.text)
	for name, value := range n.keys {
		value.addLines(strings.TrimPrefix(path+"."+name, "."), lines)
	}
	for i, item := range n.items {
		item.addLines(path+"."+strconv.Itoa(i), lines)
	}
}

// Document is as much of a rule file as has the correct form. Faults grows
// while later checks add to it.
type Document struct {
	Root   *Node
	Faults Faults
	// Advice is about what is allowed and probably not meant.
	Advice Faults
	name   string
	lines  []string
	rule   string
}

// Read checks a file against the form of rule files. All mistakes are in
// Faults; the correct values can be read nevertheless.
func Read(name, text string) *Document {
	text = strings.TrimPrefix(text, "\ufeff") // the byte order mark of some editors
	d := &Document{name: name, lines: strings.Split(text, "\n")}
	if len(text) > maxFile {
		d.Fault(Place{}, "has more than %d bytes", maxFile)
		return d
	}
	d.Root = d.parse(text)
	return d
}

// Rule sets the rule that later faults belong to; "" for none.
func (d *Document) Rule(name string) { d.rule = name }

// Fault adds one fault.
func (d *Document) Fault(at Place, format string, args ...any) {
	d.FaultSince(0, at, format, args...)
}

// FaultSince adds a fault of a check that came with an engine (events.Engine). A set in force stays
// in force with it, so what is made of the value must be usable.
func (d *Document) FaultSince(engine int, at Place, format string, args ...any) {
	d.Faults = append(d.Faults, Fault{d.name, at.Line, at.Column, d.rule, fmt.Sprintf(format, args...), engine})
}

// Advise adds one advice, which `gavel rules check` prints as a warning.
func (d *Document) Advise(at Place, format string, args ...any) {
	d.Advice = append(d.Advice, Fault{File: d.name, Line: at.Line, Column: at.Column, Rule: d.rule, Message: "warning: " + fmt.Sprintf(format, args...)})
}

func (d *Document) parse(text string) *Node {
	parsed, err := parser.ParseBytes([]byte(text), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.unreadable(err)
		return nil
	}
	var bodies []ast.Node
	for _, doc := range parsed.Docs {
		if doc.Body != nil {
			bodies = append(bodies, doc.Body)
		}
	}
	if len(bodies) != 1 {
		d.Fault(Place{1, 1}, "has %d documents; a file must have exactly one", len(bodies))
		return nil
	}
	return d.value(bodies[0], fileShape)
}

func (d *Document) unreadable(err error) {
	at, what := Place{1, 1}, ""
	if located := yaml.Error(nil); errors.As(err, &located) && located.GetToken() != nil {
		at, what = placeOf(located.GetToken()), ": "+located.GetMessage()
	}
	d.Fault(at, "not readable as YAML%s", what)
}

func where(n ast.Node) Place { return placeOf(n.GetToken()) }

func placeOf(t *token.Token) Place {
	if t == nil || t.Position == nil {
		return Place{1, 1}
	}
	return Place{max(1, t.Position.Line), max(1, t.Position.Column)}
}

// Within returns the place of a fault in a text of the file, from a line (from
// 1) and a column (from 0) of that text. If the text is folded or escaped, that
// place is unknown, and Within returns the beginning of the text.
func (d *Document) Within(n *Node, line, column int) Place {
	if at, ok := d.inBlock(n, line, column); ok {
		return at
	}
	source := []rune(d.line(n.At.Line))
	for _, quote := range []int{0, 1} {
		from := n.At.Column - 1 + quote
		if from <= len(source) && strings.HasPrefix(string(source[from:]), n.text) {
			return Place{n.At.Line, from + column + 1}
		}
	}
	return n.At
}

// inBlock is Within for a text after a bar, whose lines are the file's own.
func (d *Document) inBlock(n *Node, line, column int) (Place, bool) {
	source := []rune(d.line(n.At.Line))
	if n.At.Column > len(source) || source[n.At.Column-1] != '|' {
		return Place{}, false
	}
	first := d.line(n.At.Line + 1)
	indent := len(first) - len(strings.TrimLeft(first, " "))
	return Place{n.At.Line + line, indent + column + 1}, true
}

func (d *Document) line(n int) string {
	if n < 1 || n > len(d.lines) {
		return ""
	}
	return d.lines[n-1]
}
