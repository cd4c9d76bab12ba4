package rest

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"

	"gavel/events"
	"gavel/projections"
)

// listRecordings answers GET .../Recordings.json, newest first.
func listRecordings(c *projections.Conference, t target, q url.Values) ([]byte, error) {
	f := &filters{q: q}
	created := f.span("DateCreated")
	p, err := f.paging("RE")
	if err != nil {
		return nil, err
	}
	keep := func(r *projections.Recording) bool { return created.Contains(r.StartedAt) }
	items, more, err := cut(newestRecordings(c), (*projections.Recording).ResourceSid, keep, p)
	if err != nil {
		return nil, err
	}
	return list[*projections.Recording]{
		key: "recordings", path: t.path, filters: f.kept, paging: p,
		items: items, more: more, sid: (*projections.Recording).ResourceSid,
		append: func(b []byte, r *projections.Recording) []byte { return projections.AppendRecording(b, c, r) },
	}.appendTo(nil), nil
}

// newestRecordings returns the recordings that have a SID, each once: if both the deprecated
// conference-record-end and a recording callback describe a recording, the callback has more data.
func newestRecordings(c *projections.Conference) []*projections.Recording {
	bySid := make(map[string]*projections.Recording, len(c.Recordings))
	for _, r := range c.Recordings {
		sid := r.ResourceSid()
		if known := bySid[sid]; sid != "" && (known == nil || known.Sid == "") {
			bySid[sid] = r
		}
	}
	return slices.SortedFunc(maps.Values(bySid), func(a, b *projections.Recording) int {
		return cmp.Or(cmp.Compare(b.StartedAt, a.StartedAt), strings.Compare(b.ResourceSid(), a.ResourceSid()))
	})
}

// fetchRecording answers GET .../Recordings/{Sid}.json.
func fetchRecording(c *projections.Conference, t target) ([]byte, error) {
	if !events.IsSid("RE", t.member) {
		return nil, projections.ErrNotFound
	}
	sid := events.CanonicalSid(t.member)
	for _, r := range newestRecordings(c) {
		if r.ResourceSid() == sid {
			return projections.AppendRecording(nil, c, r), nil
		}
	}
	return nil, projections.ErrNotFound
}
