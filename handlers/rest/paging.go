package rest

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gavel/events"
	"gavel/projections"
)

// Page sizes, in items (Twilio, REST API: paging). What Twilio does with a
// greater one it does not say; Gavel gives its greatest.
const (
	defaultPageSize = 50
	maxPageSize     = 1000
)

// maxPage bounds the page's number, which Twilio calls mere client state: it
// counts along and selects nothing.
const maxPage = 1_000_000_000

// The two kinds of page token; the SID of an item follows.
const (
	tokenAfter  = "PA" // what comes behind the item
	tokenBefore = "PB" // what comes in front of it
)

// paging is the page that a client asks for.
type paging struct {
	size, page int
	token      string
	// anchor is the SID that the token names, empty on the first page; back
	// asks for what comes before it.
	anchor string
	back   bool
}

// parsePaging reads the three paging parameters of a list whose items have SIDs
// of that prefix.
func parsePaging(q url.Values, prefix string) (paging, error) {
	size, err := wholeNumber(q, "PageSize", defaultPageSize)
	if err != nil || size < 1 {
		return paging{}, badRequest("PageSize must be a whole number of at least 1")
	}
	page, err := wholeNumber(q, "Page", 0)
	if err != nil || page < 0 || page > maxPage {
		return paging{}, badRequest("Page must be a whole number, from 0")
	}
	p := paging{size: min(size, maxPageSize), page: page}
	token := q.Get("PageToken")
	if token == "" {
		return p, nil
	}
	sid, forth := strings.CutPrefix(token, tokenAfter)
	if !forth {
		sid, p.back = strings.CutPrefix(token, tokenBefore)
	}
	if !forth && !p.back || !events.IsSid(prefix, sid) {
		return paging{}, projections.ErrBadPage
	}
	p.token, p.anchor = token, events.CanonicalSid(sid)
	return p, nil
}

func wholeNumber(q url.Values, name string, otherwise int) (int, error) {
	s := q.Get(name)
	if s == "" {
		return otherwise, nil
	}
	return strconv.Atoi(s)
}

// cut takes a page out of all items of a list, in their order. The token's item
// is looked for among all, so that it is found even when keep does not let it
// pass any more.
func cut[T any](all []T, sid func(T) string, keep func(T) bool, p paging) (page []T, more bool, err error) {
	if p.anchor != "" {
		i := slices.IndexFunc(all, func(item T) bool { return sid(item) == p.anchor })
		switch {
		case i < 0:
			return nil, false, projections.ErrBadPage
		case p.back:
			all = all[:i]
		default:
			all = all[i+1:]
		}
	}
	for _, item := range all {
		if keep(item) {
			page = append(page, item)
		}
	}
	switch more = len(page) > p.size; {
	case !more:
	case p.back:
		page = page[len(page)-p.size:]
	default:
		page = page[:p.size]
	}
	return page, more, nil
}

// list is a page about to be written.
type list[T any] struct {
	key     string // of the items in the envelope
	path    string
	filters []string
	paging  paging
	items   []T
	more    bool // in the direction asked
	sid     func(T) string
	append  func([]byte, T) []byte
}

// appendTo writes Twilio's envelope: exactly nine keys, for some clients take
// whatever else is there for the items (twilio-python's page loader).
func (l list[T]) appendTo(b []byte) []byte {
	start := l.paging.page * l.paging.size
	end := start + max(0, len(l.items)-1)
	b = append(b, '{', '"')
	b = append(b, l.key...)
	b = append(b, `":[`...)
	for i, item := range l.items {
		if i > 0 {
			b = append(b, ',')
		}
		b = l.append(b, item)
	}
	b = append(b, `],"end":`...)
	b = strconv.AppendInt(b, int64(end), 10)
	b = append(b, `,"first_page_uri":`...)
	b = events.AppendJSONString(b, l.uri(0, ""))
	b = append(b, `,"next_page_uri":`...)
	b = appendURI(b, l.next())
	b = append(b, `,"page":`...)
	b = strconv.AppendInt(b, int64(l.paging.page), 10)
	b = append(b, `,"page_size":`...)
	b = strconv.AppendInt(b, int64(l.paging.size), 10)
	b = append(b, `,"previous_page_uri":`...)
	b = appendURI(b, l.previous())
	b = append(b, `,"start":`...)
	b = strconv.AppendInt(b, int64(start), 10)
	b = append(b, `,"uri":`...)
	b = events.AppendJSONString(b, l.uri(l.paging.page, l.paging.token))
	return append(b, '}')
}

// next is the URI of the page behind this one, or empty. Whoever went back came
// from there.
func (l list[T]) next() string {
	if len(l.items) == 0 || !l.paging.back && !l.more {
		return ""
	}
	return l.uri(l.paging.page+1, tokenAfter+l.sid(l.items[len(l.items)-1]))
}

// previous is the URI of the page in front of this one, or empty. Whoever went
// on came from there.
func (l list[T]) previous() string {
	if len(l.items) == 0 || l.paging.anchor == "" || l.paging.back && !l.more {
		return ""
	}
	return l.uri(max(0, l.paging.page-1), tokenBefore+l.sid(l.items[0]))
}

// uri is relative, as Twilio's are: filters, PageSize, Page, PageToken.
func (l list[T]) uri(page int, token string) string {
	parts := append(slices.Clip(l.filters),
		"PageSize="+strconv.Itoa(l.paging.size), "Page="+strconv.Itoa(page))
	if token != "" {
		parts = append(parts, "PageToken="+token)
	}
	return l.path + "?" + strings.Join(parts, "&")
}

func appendURI(b []byte, uri string) []byte {
	if uri == "" {
		return append(b, "null"...)
	}
	return events.AppendJSONString(b, uri)
}
