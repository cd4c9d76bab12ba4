package picture

import (
	"gavel/projections"
)

// matches reports whether c is what q asks for.
func matches(c *projections.Conference, q projections.Query) bool {
	return (q.FriendlyName == nil || c.FriendlyName.Value == *q.FriendlyName) &&
		(q.Status == "" || c.Status() == q.Status) &&
		q.Created.Contains(c.Created) &&
		q.Updated.Contains(c.Updated)
}

// segment is a stretch of one index of an account.
type segment struct {
	index string
	span  projections.Span // of Created
}

// route is what must be walked to meet everything that a query asks for,
// newest first: segments that follow each other in Created.
type route []segment

// routes returns the ways to answer q, of which any will do. Each meets all
// that matches, and more that does not.
func routes(q projections.Query) []route {
	created := q.Created
	if q.Updated.To != 0 {
		// Nothing is updated before it is created.
		created = overlap(created, projections.Span{To: q.Updated.To})
	}
	var out []route
	if q.FriendlyName != nil {
		out = append(out, route{{nameIndex(*q.FriendlyName), created}})
	}
	if q.Status != "" {
		out = append(out, route{{statusIndex(q.Status), created}})
	}
	if q.Updated.From != 0 {
		return append(out, updatedSince(q.Updated.From, created))
	}
	if len(out) == 0 {
		out = append(out, route{{allIndex, created}})
	}
	return out
}

// updatedSince splits at the midnight before from. What was created behind it
// may match; of what was created before it, only what crossed a midnight can.
func updatedSince(from projections.Instant, created projections.Span) route {
	midnight := projections.Instant(day(from) * secondsPerDay)
	return route{
		{allIndex, overlap(created, projections.Span{From: midnight})},
		{crossedIndex, overlap(created, projections.Span{To: midnight - 1})},
	}
}

// overlap returns what lies in both spans.
func overlap(a, b projections.Span) projections.Span {
	out := projections.Span{From: max(a.From, b.From), To: a.To}
	if out.To == 0 || b.To != 0 && b.To < out.To {
		out.To = b.To
	}
	return out
}

// ranges are the stretches of the shards' indexes that make up the segment.
func (g segment) ranges(spaces []space, account string) []Range {
	out := make([]Range, len(spaces))
	for i, sp := range spaces {
		r := Range{Key: sp.index(account, g.index), Min: Lowest, Max: Highest}
		if g.span.From != 0 {
			r.Min = int64(g.span.From)
		}
		if g.span.To != 0 {
			r.Max = int64(g.span.To)
		}
		out[i] = r
	}
	return out
}
