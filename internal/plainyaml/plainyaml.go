// Package plainyaml decodes YAML that a person wrote: numbers keep their text where a text is wanted.
package plainyaml

import (
	"bytes"
	"errors"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// ErrNoYAML is the error of a text that the library cannot even refuse.
var ErrNoYAML = errors.New("this is not YAML")

// numbers are the tokens that go-yaml reads as numbers.
var numbers = map[token.Type]bool{
	token.IntegerType: true, token.BinaryIntegerType: true, token.OctetIntegerType: true, token.HexIntegerType: true,
	token.FloatType: true, token.InfinityType: true, token.NanType: true,
}

// Decode decodes the first document of text into value, strictly: an unknown key is an error. A byte
// order mark at its front is ignored.
//
// go-yaml hands over a number where a text is wanted: the password 0123 becomes "83", and +1555 loses
// its plus. So each number is decoded as the text that was written. Fields of numbers read
// decimal texts.
func Decode(text []byte, value any) error {
	root, err := Parse(text)
	if err != nil || root == nil {
		return err
	}
	return DecodeNode(root, value)
}

// Parse returns the first document of text, nil if it is empty. Its numbers are texts.
func Parse(text []byte) (root ast.Node, err error) {
	defer refuse(&err)
	tokens := lexer.Tokenize(string(bytes.TrimPrefix(text, []byte("\ufeff"))))
	for _, t := range tokens {
		if numbers[t.Type] {
			t.Type = token.StringType
		}
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil || len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil, err //nolint:wrapcheck // the caller reads the place in it
	}
	return file.Docs[0].Body, nil
}

// DecodeNode decodes a part of a document that Parse returned, as Decode does.
func DecodeNode(n ast.Node, value any) (err error) {
	defer refuse(&err)
	return yaml.NodeToValue(n, value, yaml.Strict()) //nolint:wrapcheck // the caller reads the place in it
}

// refuse turns a panic into an error: go-yaml 1.19 panics on some invalid texts, such as a tag without
// a value.
func refuse(err *error) {
	if recover() != nil {
		*err = ErrNoYAML
	}
}
