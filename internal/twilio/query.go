package twilio

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gavel/events"
)

// maxWild bounds a value that a pattern stands for, in bytes. A SID has 34, a UUID 36.
const maxWild = 64

// CheckQuery returns nil if a POST with these parameters may have the query, and otherwise a
// *events.FormError. The query must be listed as a whole or match a pattern: in it NAME=* stands for
// 1 to maxWild letters, digits, - and _.
//
// The text that Twilio signs has nothing between the query and the first parameter. So a value that
// a pattern stands for must not hold a documented name, and no parameter may sort
// before AccountSid: the end of the query could have been made into one.
func (a *Account) CheckQuery(rawQuery string, params events.Params) error {
	if slices.Contains(a.CallbackQueries, rawQuery) && !strings.Contains(rawQuery, "*") {
		return nil
	}
	if !slices.ContainsFunc(a.CallbackQueries, func(p string) bool { return matches(p, rawQuery) }) {
		return &events.FormError{Field: "query", Reason: "is not listed for the account"}
	}
	for _, p := range params {
		if p.Name < "AccountSid" {
			return &events.FormError{Field: "query", Reason: "matches a pattern, and a parameter sorts before AccountSid"}
		}
	}
	return nil
}

// matches reports whether the query matches the pattern, pair by pair.
func matches(pattern, query string) bool {
	for {
		var want, got string
		var more, left bool
		want, pattern, more = strings.Cut(pattern, "&")
		got, query, left = strings.Cut(query, "&")
		if more != left || got == "" || !matchesPair(want, got) {
			return false
		}
		if !more {
			return true
		}
	}
}

func matchesPair(want, got string) bool {
	name, wild := strings.CutSuffix(want, "=*")
	if !wild {
		return want == got
	}
	value, named := strings.CutPrefix(got, name+"=")
	return named && isWild(value)
}

// isWild reports whether a pattern may stand for the value.
func isWild(v string) bool {
	if v == "" || len(v) > maxWild {
		return false
	}
	for i := range len(v) {
		if c := v[i]; (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return !slices.ContainsFunc(documented, func(name string) bool { return strings.Contains(v, name) })
}

var documented = events.DocumentedNames()

// checkPattern refuses a pattern that does not say what it seems to say.
func checkPattern(params events.Params) error {
	for _, p := range params {
		switch wild := p.Value == "*"; {
		case strings.Contains(p.Name, "*"), !wild && strings.Contains(p.Value, "*"):
			return errors.New("holds a * that is not a whole value: write NAME=*")
		case wild && slices.Contains(documented, p.Name):
			return fmt.Errorf("has a pattern for Twilio's own %s: choose another name", p.Name)
		}
	}
	return nil
}
