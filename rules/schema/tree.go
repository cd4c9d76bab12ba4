package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// value returns the value of a node, or nil if it does not have the shape.
func (d *Document) value(n ast.Node, s *shape) *Node {
	switch s.kind {
	case object, table:
		return d.object(n, s)
	case list:
		return d.list(n, s)
	}
	v := &Node{At: where(n)}
	var ok bool
	if v.text, ok = scalar(n, s.kind); !ok {
		d.misplaced(n, s)
		return nil
	}
	if why := s.refuses(v.text); why != "" {
		d.Fault(v.At, "%s", why)
		return nil
	}
	return v
}

func (d *Document) misplaced(n ast.Node, s *shape) {
	switch n.(type) {
	case *ast.NullNode:
		d.Fault(where(n), "the value is missing; it must be %s", s.kind)
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		d.Fault(where(n), "anchors, aliases and tags are not allowed in a rule file")
	default:
		d.Fault(where(n), "the value must be %s", s.kind)
	}
}

// object reads a mapping, and adds faults for unknown, duplicate and missing keys.
func (d *Document) object(n ast.Node, s *shape) *Node {
	pairs, ok := mapping(n)
	if !ok {
		d.misplaced(n, s)
		return nil
	}
	v := &Node{At: start(n, pairs), keys: map[string]*Node{}}
	if s == ruleShape {
		d.enter(pairs)
		defer d.Rule("")
	}
	for _, pair := range pairs {
		d.pair(v, pair, s)
	}
	d.required(v, s)
	return v
}

// start is where an object begins: at its first key, or at its brace.
func start(n ast.Node, pairs []*ast.MappingValueNode) Place {
	if m, ok := n.(*ast.MappingNode); len(pairs) == 0 || ok && m.IsFlowStyle {
		return where(n)
	}
	return where(pairs[0].Key)
}

// enter sets the rule that later faults belong to.
func (d *Document) enter(pairs []*ast.MappingValueNode) {
	d.rule = "without a name"
	for _, pair := range pairs {
		if text, ok := scalar(pair.Value, word); ok && keyName(pair) == "name" {
			d.rule = text
		}
	}
}

func (d *Document) pair(v *Node, pair *ast.MappingValueNode, s *shape) {
	name, at := keyName(pair), where(pair.Key)
	inside := s.items
	if s.kind == object {
		known := s.key(name)
		if known == nil {
			d.Fault(at, "unknown key %q%s", name, suggestion(name, s))
			return
		}
		inside = known.shape
	} else if !matches(s.pattern, name) {
		d.Fault(at, "a key must match %s", s.pattern)
		return
	}
	if slices.Contains(v.order, name) {
		d.Fault(at, "key %q is duplicated", name)
		return
	}
	v.order = append(v.order, name)
	if value := d.value(pair.Value, inside); value != nil {
		v.keys[name] = value
	}
}

func (d *Document) required(v *Node, s *shape) {
	for _, k := range s.keys {
		if k.required && !slices.Contains(v.order, k.name) {
			d.Fault(v.At, "key %q is missing", k.name)
		}
	}
	there := 0
	for _, name := range v.order {
		if slices.Contains(s.oneOf, name) {
			there++
		}
	}
	if s.oneOf != nil && there != 1 {
		d.Fault(v.At, "has %d of %s; it must have exactly one", there, strings.Join(s.oneOf, ", "))
	}
}

func (d *Document) list(n ast.Node, s *shape) *Node {
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		d.misplaced(n, s)
		return nil
	}
	v := &Node{At: where(n)}
	if n := int64(len(sequence.Values)); n < s.least || s.most > 0 && n > s.most {
		d.Fault(v.At, "the list has %d items; it must have %s", n, s.bounds())
	}
	for _, item := range sequence.Values {
		if value := d.value(item, s.items); value != nil {
			v.items = append(v.items, value)
		}
	}
	return v
}

// mapping returns the pairs of a mapping. This library has another node type
// for a mapping of a single pair.
func mapping(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

func keyName(pair *ast.MappingValueNode) string {
	if text, ok := scalar(pair.Key, template); ok {
		return text
	}
	return pair.Key.String()
}

// scalar returns the text of a value, and whether its type fits the kind.
func scalar(n ast.Node, kind shapeKind) (string, bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, kind != number && (kind != flag || isCode(v.Value))
	case *ast.LiteralNode:
		return v.Value.Value, kind != number && kind != flag
	case *ast.BoolNode:
		// A condition may be as short as true.
		return strconv.FormatBool(v.Value), kind == flag || kind == template || kind == expression
	case *ast.IntegerNode:
		return v.GetToken().Value, kind == number || kind == template || kind == expression
	case *ast.FloatNode:
		return v.GetToken().Value, kind == template || kind == expression
	}
	return "", false
}

// isCode reports whether a text is ${...} and nothing else.
func isCode(text string) bool { return strings.HasPrefix(text, "${") && strings.HasSuffix(text, "}") }

// refuses returns why a text does not fit, or "".
func (s *shape) refuses(text string) string {
	switch {
	case s.values != nil && !slices.Contains(s.values, text):
		return "the value must be one of " + strings.Join(s.values, ", ") + Nearest(text, s.values)
	case s.kind == length && !matches(s.pattern, text):
		return "the value must be " + s.kind.String()
	case s.pattern != "" && !matches(s.pattern, text):
		return "the value must match " + s.pattern
	case s.kind == number:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < s.least || n > s.most {
			return "the value must be a whole number, " + s.bounds()
		}
	}
	return ""
}

// bounds formats least and most.
func (s *shape) bounds() string {
	if s.most == 0 {
		return fmt.Sprintf("%d or more", s.least)
	}
	return fmt.Sprintf("%d to %d", s.least, s.most)
}

func matches(pattern, text string) bool { return compiled[pattern].MatchString(text) }

// compiled are the patterns, compiled so that they match whole texts.
var compiled = func() map[string]*regexp.Regexp {
	all := map[string]*regexp.Regexp{}
	for _, p := range []string{namePattern, accountPattern, clockPattern, lengthPattern, dataPattern, anyPattern} {
		all[p] = regexp.MustCompile(whole(p))
	}
	return all
}()
