package rest

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gavel/events"
	"gavel/projections"
)

// Page sizes, in items (Twilio, REST API: paging). Twilio does not document
// what it does with a greater size; Gavel returns its maximum.
const (
	defaultPageSize = 50
	maxPageSize     = 1000
)

// maxPage bounds the page's number, which Twilio calls mere client state: it selects nothing.
const maxPage = 1_000_000_000

// The two kinds of page token; the SID of an item follows.
const (
	tokenAfter  = "PA" // items after that one
	tokenBefore = "PB" // items before that one
)

// paging is the page that a client requests.
type paging struct {
	size, page int
	token      string
	// anchor is the SID in the token, empty on the first page; back requests the items before it.
	anchor string
	back   bool
}

// paging reads the three paging parameters of a list whose items have SIDs
// with that prefix. It comes after the filters, whose error it returns.
func (f *filters) paging(prefix string) (paging, error) {
	if f.err != nil {
		return paging{}, f.err
	}
	size, err := wholeNumber(f.q, "PageSize", defaultPageSize)
	if err != nil || size < 1 {
		return paging{}, badRequest("PageSize must be a whole number of at least 1")
	}
	page, err := wholeNumber(f.q, "Page", 0)
	if err != nil || page < 0 || page > maxPage {
		return paging{}, badRequest("Page must be a whole number, from 0")
	}
	p := paging{size: min(size, maxPageSize), page: page}
	token := f.q.Get("PageToken")
	if token == "" {
		// Twilio's pages are found by their token; a number alone would return the first page under another number.
		if page > 0 {
			return paging{}, badRequest("Page needs the PageToken beside it: follow next_page_uri instead of counting")
		}
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

// cut returns a page of all items of a list, in their order. The token's item is searched among all
// items, so that it is found even if keep no longer accepts it.
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

// list is a page before it is encoded.
type list[T any] struct {
	key     string // of the items in the envelope
	path    string
	filters []string
	paging  paging
	items   []T
	more    bool // in the requested direction
	sid     func(T) string
	append  func([]byte, T) []byte
}

// appendTo appends Twilio's envelope: exactly nine keys, because some clients
// take any other key for the items (twilio-python's page loader).
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

// next is the URI of the next page, or empty. A client that went back came from there.
func (l list[T]) next() string {
	if len(l.items) == 0 || !l.paging.back && !l.more {
		return ""
	}
	return l.uri(l.paging.page+1, tokenAfter+l.sid(l.items[len(l.items)-1]))
}

// previous is the URI of the page before, or empty. A client that went forward came from there.
func (l list[T]) previous() string {
	if len(l.items) == 0 || l.paging.anchor == "" || l.paging.back && !l.more {
		return ""
	}
	return l.uri(max(0, l.paging.page-1), tokenBefore+l.sid(l.items[0]))
}

// uri returns a relative URI, as Twilio does: filters, PageSize, Page, PageToken.
func (l list[T]) uri(page int, token string) string {
	parts := append(slices.Clip(l.filters), "PageSize="+strconv.Itoa(l.paging.size), "Page="+strconv.Itoa(page))
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
