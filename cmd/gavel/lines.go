package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"gavel/events"
)

// callbackLines reads callbacks from a file.
type callbackLines struct {
	from    io.Reader
	account string
	err     error
}

// all yields the number and the parameters of each line. It skips empty lines, and
// ends at the first line that cannot be read, whose error it stores in err.
func (l *callbackLines) all(yield func(int, events.Params) bool) {
	lines := bufio.NewScanner(l.from)
	lines.Buffer(nil, maxEventLine)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(strings.TrimPrefix(lines.Text(), string(byteOrderMark)))
		if text == "" {
			continue
		}
		params, err := parseCallbackLine(text)
		if err != nil {
			l.err = fmt.Errorf("--file: line %d: %w", n, err)
			return
		}
		if _, ok := params.Lookup("AccountSid"); !ok {
			params = append(params, events.Param{Name: "AccountSid", Value: l.account})
		}
		if !yield(n, params) {
			return
		}
	}
	if err := lines.Err(); err != nil {
		l.err = fmt.Errorf("--file: %w", err)
	}
}

// parseCallbackLine reads a JSON object of strings, numbers and booleans, or a form.
func parseCallbackLine(text string) (events.Params, error) {
	if !strings.HasPrefix(text, "{") {
		return events.ParseForm(text, events.MaxParams)
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, errors.New("is not a JSON object")
	}
	if decoder.More() {
		return nil, errors.New("has text after its JSON object")
	}
	var params events.Params
	for name, value := range object {
		switch value.(type) {
		case string, json.Number, bool:
			params = append(params, events.Param{Name: name, Value: fmt.Sprint(value)})
		default:
			return nil, fmt.Errorf("%s is not a string, a number or a boolean", name)
		}
	}
	slices.SortFunc(params, func(a, b events.Param) int { return strings.Compare(a.Name, b.Name) })
	return params, nil
}
