package events

import (
	"slices"
	"strings"
	"time"
)

// ownForm is the form of a parameter's value: ok reports whether a value has it,
// fault is the error text for one that has not.
type ownForm struct {
	fault string
	ok    func(v string) bool
}

// The forms. Numbers and ranges are checked by ownParam.fault.
var (
	ownNumber     = &ownForm{fault: "is not a number in its range"}
	ownRanges     = &ownForm{}
	ownULID       = &ownForm{"is not a ULID", isULID}
	ownDecisionID = &ownForm{"is not a ULID", func(v string) bool { return isDecisionID(v) || isULID(v) }}
	ownMoment     = &ownForm{"is not a time in whole seconds", isMoment}
	ownRuleName   = &ownForm{"is not a name of a rule", func(v string) bool { return v[0] != '-' && ruleChars.all(v) }}
	// ownFixed cannot hold names of people.
	ownFixed    = &ownForm{"is not of fixed form", fixedChars.all}
	ownAskedFor = &ownForm{"is not of fixed form", func(v string) bool { return v == "" || isFixedForm(v) }}
	ownLegFlags = &ownForm{"are not flags of a leg in their order", isFlags}
	ownHealed   = &ownForm{"is not a fact that can be healed", func(v string) bool {
		return slices.Contains([]Kind{ConferenceEnd, ParticipantJoin, ParticipantLeave, ParticipantModify}, Kind(v))
	}}
	ownWrite = &ownForm{"is not an action", func(v string) bool { return asking[Do(v)] != "" }}
	ownEnd   = &ownForm{"is not a result of an action", func(v string) bool {
		_, known := results[Result(v)]
		return known
	}}
)

// ownSid is the form of a SID of one of several kinds.
func ownSid(prefixes ...string) *ownForm {
	return &ownForm{"is not a SID of its kind", func(v string) bool {
		return slices.ContainsFunc(prefixes, func(prefix string) bool { return IsSid(prefix, v) })
	}}
}

// healedCallFault requires a CallSid for a healed leg and allows it only there.
func healedCallFault(v string, all Params) string {
	switch ended := Kind(all.Get("Fact")) == ConferenceEnd; {
	case ended && v != "":
		return "has no meaning here"
	case !ended && v == "":
		return "is missing"
	}
	return ""
}

func isMoment(v string) bool {
	t, err := time.Parse(time.RFC3339, v)
	return err == nil && t.Unix() > 0 && t.Nanosecond() == 0
}

// isFlags reports whether v is flags of a leg in their order.
func isFlags(v string) bool {
	known := legFlags
	for word := range strings.SplitSeq(v, "&") {
		at := slices.Index(known, word)
		if at < 0 {
			return false
		}
		known = known[at+1:]
	}
	return true
}

// charset is a set of ASCII characters.
type charset [256]bool

func charsetOf(characters string) *charset {
	c := new(charset)
	for i := range len(characters) {
		c[characters[i]] = true
	}
	return c
}

// all reports whether v has no other characters.
func (c *charset) all(v string) bool {
	for i := range len(v) {
		if !c[v[i]] {
			return false
		}
	}
	return true
}

const (
	lowerOrDigit = "abcdefghijklmnopqrstuvwxyz0123456789"
	upperLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

var (
	ruleChars  = charsetOf(lowerOrDigit + "-")
	wordChars  = charsetOf(lowerOrDigit + "-_")
	camelChars = charsetOf(lowerOrDigit + upperLetters)
	nameChars  = charsetOf(lowerOrDigit + upperLetters + "-_.")
	fixedChars = charsetOf(lowerOrDigit + "-=&")
	ulidChars  = charsetOf("0123456789ABCDEFGHJKMNPQRSTVWXYZ") // Crockford's base 32
	lowerHex   = charsetOf("0123456789abcdef")
)

// Both are 128 bits.
func isULID(v string) bool       { return len(v) == 26 && v[0] <= '7' && ulidChars.all(v) }
func isDecisionID(v string) bool { return len(v) == 32 && lowerHex.all(v) }
