package twiliofake

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Page sizes (Twilio, REST API: paging). What Twilio does with a greater size
// is not confirmed; the fake uses its greatest.
const (
	defaultPageSize = 50
	maxPageSize     = 1000
)

// list is a collection that is returned in pages.
type list[T any] struct {
	key     string // of the items in the response
	filters []string
	items   []T // that match, in order
	sid     func(T) string
	show    func(T) any
}

// answer returns the requested page. A token names an item and not a number, so
// that pages do not shift while new items arrive in front.
func (l list[T]) answer(q *query) (answer, *apiError) {
	size, sizeErr := number(q.values, "PageSize", defaultPageSize)
	page, pageErr := number(q.values, "Page", 0)
	if sizeErr != nil || pageErr != nil || size < 1 || page < 0 {
		return answer{}, badRequest("PageSize and Page must be numbers")
	}
	size = min(size, maxPageSize)
	token := q.values.Get("PageToken")
	first, after, refusal := l.bounds(token, size)
	if refusal != nil {
		return answer{}, refusal
	}
	shown := make([]any, 0, after-first)
	for _, item := range l.items[first:after] {
		shown = append(shown, l.show(item))
	}
	uri := l.uris(q, size)
	body := map[string]any{
		l.key:               shown,
		"first_page_uri":    uri(0, ""),
		"next_page_uri":     nil,
		"previous_page_uri": nil,
		"uri":               uri(page, token),
		"page":              page,
		"page_size":         size,
		"start":             page * size,
		"end":               max(page*size+len(shown)-1, 0),
	}
	if len(shown) == 0 {
		body["start"], body["end"] = 0, 0
	}
	if after < len(l.items) {
		body["next_page_uri"] = uri(page+1, "PA"+l.sid(l.items[after-1]))
	}
	if page > 0 && len(shown) > 0 {
		body["previous_page_uri"] = uri(page-1, "PB"+l.sid(l.items[first]))
	}
	return answered(body)
}

// bounds returns where the page begins and ends: at the start, after the item
// of a token PA..., or before that of a token PB...
func (l list[T]) bounds(token string, size int) (first, after int, refusal *apiError) {
	if token == "" {
		return 0, min(size, len(l.items)), nil
	}
	behind, forth := strings.CutPrefix(token, "PA")
	before, back := strings.CutPrefix(token, "PB")
	at := slices.IndexFunc(l.items, func(item T) bool { return l.sid(item) == either(forth, behind, before) })
	switch {
	case at < 0 || !forth && !back:
		return 0, 0, badRequest("PageToken does not belong to this list")
	case forth:
		return at + 1, min(at+1+size, len(l.items)), nil
	}
	return max(at-size, 0), at, nil
}

// uris returns a function that writes the address of a page: filters first,
// then the page (Twilio, REST API: the examples of each list).
func (l list[T]) uris(q *query, size int) func(page int, token string) string {
	var kept strings.Builder
	for _, name := range l.filters {
		for _, value := range q.values[name] {
			kept.WriteString(url.QueryEscape(name) + "=" + url.QueryEscape(value) + "&")
		}
	}
	return func(page int, token string) string {
		uri := q.path + "?" + kept.String() + "PageSize=" + strconv.Itoa(size) + "&Page=" + strconv.Itoa(page)
		if token != "" {
			uri += "&PageToken=" + url.QueryEscape(token)
		}
		return uri
	}
}

func number(values url.Values, name string, otherwise int) (int, error) {
	if values.Get(name) == "" {
		return otherwise, nil
	}
	return strconv.Atoi(values.Get(name))
}

// days is a filter on a date: a day, and bounds before and after it. The bounds
// are midnights, the named one included (Twilio, Conference resource).
type days struct{ on, until, from time.Time }

// dayFilters are the three names of a filter on a date.
func dayFilters(name string) []string { return []string{name, name + "<", name + ">"} }

// parseDays reads the filters DateX, DateX< and DateX>. Only YYYY-MM-DD is
// accepted (Twilio, "Voice Conference API Improvements", September 2019).
func parseDays(values url.Values, name string) (days, *apiError) {
	var d days
	for i, field := range []*time.Time{&d.on, &d.until, &d.from} {
		text := values.Get(dayFilters(name)[i])
		if text == "" {
			continue
		}
		var err error
		if *field, err = time.Parse(time.DateOnly, text); err != nil {
			return days{}, badRequest("%s must be a date, YYYY-MM-DD", name)
		}
	}
	return d, nil
}

func (d days) has(at time.Time) bool {
	at = at.UTC().Truncate(time.Second)
	return (d.on.IsZero() || at.Truncate(24*time.Hour).Equal(d.on)) &&
		(d.until.IsZero() || !at.After(d.until)) &&
		(d.from.IsZero() || !at.Before(d.from))
}

// newest returns the matching items, newest first; items are oldest first.
func newest[T any](items []T, match func(T) bool) []T {
	var matching []T
	for _, item := range slices.Backward(items) {
		if match(item) {
			matching = append(matching, item)
		}
	}
	return matching
}
