package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"gavel/internal/plainyaml"
	"gavel/rules/schema"
)

// faultFinder finds all faults that keys and kinds of values in gavel.yaml have; go-yaml stops at
// the first one.
type faultFinder struct {
	path   string
	faults []error
}

// unmarshaler is a type with a form of its own, such as a text or a list.
var unmarshaler = reflect.TypeFor[yaml.InterfaceUnmarshaler]()

// find checks a node against the type that it is decoded into. at is its place: "accounts[0].".
func (f *faultFinder) find(n ast.Node, t reflect.Type, at string) {
	own := reflect.PointerTo(t).Implements(unmarshaler)
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return
	case *ast.MappingValueNode:
		if t.Kind() == reflect.Struct && !own {
			f.key(n, t, at)
			return
		}
	case *ast.MappingNode:
		if t.Kind() == reflect.Struct && !own {
			for _, v := range n.Values {
				f.key(v, t, at)
			}
			return
		}
	case *ast.SequenceNode:
		if t.Kind() == reflect.Slice && !own {
			for i, v := range n.Values {
				f.find(v, t.Elem(), fmt.Sprintf("%s[%d].", strings.TrimSuffix(at, "."), i))
			}
			return
		}
	}
	if isText(t) && (n.Type() == ast.SequenceType || n.Type() == ast.MappingType) { // go-yaml takes its text
		f.add(n.GetToken().Position.Line, strings.TrimSuffix(at, ".")+": the value must be string")
		return
	}
	if err := plainyaml.DecodeNode(n, reflect.New(t).Interface()); err != nil {
		line, message := settingFault(err, keysWithin(t))
		if !strings.HasPrefix(message, "unknown key") && !errors.As(err, new(valueError)) {
			message = strings.TrimSuffix(at, ".") + ": " + message
		}
		f.add(line, message)
	}
}

func isText(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.String && !reflect.PointerTo(t).Implements(unmarshaler)
}

// key checks one key of a mapping, and its value.
func (f *faultFinder) key(n *ast.MappingValueNode, t reflect.Type, at string) {
	token := n.Key.GetToken()
	var names []string
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("yaml")
		if name == token.Value && name != "" {
			f.find(n.Value, t.Field(i).Type, at+name+".")
			return
		}
		names = append(names, name)
	}
	f.add(token.Position.Line, fmt.Sprintf("unknown key %q", token.Value)+schema.Nearest(token.Value, names))
}

func (f *faultFinder) add(line int, message string) {
	where := f.path
	if line > 0 {
		where = fmt.Sprintf("%s:%d", f.path, line)
	}
	f.faults = append(f.faults, fmt.Errorf("%s: %s", where, message))
}

// keysWithin returns the keys of a type and of the types in it.
func keysWithin(t reflect.Type) (names []string) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return keysWithin(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if name := t.Field(i).Tag.Get("yaml"); name != "" {
				names = append(names, name)
			}
			names = append(names, keysWithin(t.Field(i).Type)...)
		}
	}
	return names
}

// settingsFaults returns all faults of a text, or nil if they cannot be found one by one: an alias
// has its value elsewhere in the text, and a tag can lack its value.
func settingsFaults(path string, root ast.Node) error {
	aliases := false
	ast.Walk(visitor(func(n ast.Node) {
		aliases = aliases || n == nil || n.Type() == ast.AliasType || n.Type() == ast.MergeKeyType
	}), root)
	if aliases {
		return nil
	}
	f := faultFinder{path: path}
	f.find(root, reflect.TypeFor[settingsFile](), "")
	return errors.Join(f.faults...)
}

// visitor is called with every node.
type visitor func(ast.Node)

// Visit goes on to the node's children.
func (v visitor) Visit(n ast.Node) ast.Visitor {
	if v(n); n == nil {
		return nil
	}
	return v
}
