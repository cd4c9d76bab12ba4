package rest

import (
	"net/url"
	"strings"
	"time"

	"gavel/projections"
)

// filters reads the filters of a list and keeps those that apply, encoded and
// in the order read, for the URIs of its pages.
type filters struct {
	q    url.Values
	kept []string
	err  error // the first, for a value that is not valid
}

// keep records a filter for the page URIs.
func (f *filters) keep(name, value string) {
	f.kept = append(f.kept, url.QueryEscape(name)+"="+url.QueryEscape(value))
}

// text returns the value of name; an empty value is not a filter.
func (f *filters) text(name string) (string, bool) {
	value := f.q.Get(name)
	if value == "" {
		return "", false
	}
	f.keep(name, value)
	return value, true
}

// refuse keeps the first error.
func (f *filters) refuse(why string) {
	if f.err == nil {
		f.err = badRequest(why)
	}
}

// flag returns the value of a filter that is true or false; nil means no filter.
func (f *filters) flag(name string) *bool {
	value, ok := f.text(name)
	if !ok {
		return nil
	}
	on := strings.EqualFold(value, "true") // the official Python client writes True
	if !on && !strings.EqualFold(value, "false") {
		f.refuse(name + " must be true or false")
	}
	return &on
}

// The comparisons of a date, at the end of a parameter's name:
// "DateCreated>=2021-01-01" in a query is the name "DateCreated>" and a value.
const (
	onDay  = ""
	before = "<"
	after  = ">"
)

// span reads the three parameters of a date. All that are set apply.
func (f *filters) span(name string) (span projections.Span) {
	for _, comparison := range []string{onDay, before, after} {
		for _, value := range f.q[name+comparison] {
			if value != "" {
				f.narrow(&span, name, comparison, value)
			}
		}
	}
	return span
}

// narrow applies one date. A value may contain the comparison itself
// ("DateCreated=>=2021-01-01"), as in Twilio's announcement of 2019.
func (f *filters) narrow(span *projections.Span, name, comparison, value string) {
	if comparison == onDay && len(value) > 1 && value[1] == '=' && strings.Contains(before+after, value[:1]) {
		comparison, value = value[:1], value[2:]
	}
	day, err := time.Parse(time.DateOnly, value)
	if err != nil {
		f.refuse(name + " must be a date, YYYY-MM-DD")
	}
	f.keep(name+comparison, value)
	*span = intersect(*span, spanOf(comparison, projections.Instant(day.Unix())))
}

// spanOf returns the span that a comparison with a day selects, given its midnight, UTC: ">" is at
// or after that moment and "<" at or before it, so "<" includes only the first second of that day
// (Twilio, REST API: read multiple Conference resources).
func spanOf(comparison string, midnight projections.Instant) projections.Span {
	const day = projections.Instant(24 * 60 * 60)
	switch comparison {
	case before:
		return projections.Span{To: closed(midnight)}
	case after:
		return projections.Span{From: midnight}
	}
	return projections.Span{From: midnight, To: closed(midnight + day - 1)}
}

// closed keeps an upper bound from being zero, which would mean no bound.
func closed(to projections.Instant) projections.Instant {
	if to == 0 {
		return -1
	}
	return to
}

func intersect(a, b projections.Span) projections.Span {
	if b.From != 0 && (a.From == 0 || b.From > a.From) {
		a.From = b.From
	}
	if b.To != 0 && (a.To == 0 || b.To < a.To) {
		a.To = b.To
	}
	return a
}
