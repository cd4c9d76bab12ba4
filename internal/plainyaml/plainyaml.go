// Package plainyaml decodes YAML that a person wrote: numbers keep their text where a text is wanted.
package plainyaml

import (
	"bytes"
	"errors"

	"github.com/goccy/go-yaml"
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
func Decode(text []byte, value any) (err error) {
	defer func() {
		if recover() != nil { // go-yaml 1.19 panics on some invalid texts, such as a tag without a value
			err = ErrNoYAML
		}
	}()
	tokens := lexer.Tokenize(string(bytes.TrimPrefix(text, []byte("\ufeff"))))
	for _, t := range tokens {
		if numbers[t.Type] {
			t.Type = token.StringType
		}
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil || len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return err //nolint:wrapcheck // the caller reads the place in it
	}
	return yaml.NodeToValue(file.Docs[0].Body, value, yaml.Strict()) //nolint:wrapcheck // likewise
}
