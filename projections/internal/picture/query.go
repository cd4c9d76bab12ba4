package picture

import (
	"gavel/projections"
)

// matches reports whether c matches q.
func matches(c *projections.Conference, q projections.Query) bool {
	return (q.FriendlyName == nil || c.FriendlyName.Value == *q.FriendlyName) &&
		(q.Status == "" || c.Status() == q.Status || q.Waiting && q.Status == projections.StatusInProgress && c.Waiting()) &&
		q.Created.Contains(c.Created) &&
		q.Updated.Contains(c.Updated)
}

// segment is a range of one index of an account.
type segment struct {
	index string
	span  projections.Span // of Created
}

// route is what a walk must read to find every match of a query, newest first:
// segments that follow each other by Created.
type route []segment

// routes returns the possible routes for q; any one is enough. Each finds every
// match, among others.
func routes(q projections.Query) []route {
	created := q.Created
	if q.Updated.To != 0 {
		// No conference is updated before it is created.
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

// updatedSince splits at the midnight before from. Any conference created after
// it may match; of those created before it, only one in crossedIndex can.
func updatedSince(from projections.Instant, created projections.Span) route {
	midnight := projections.Instant(day(from) * secondsPerDay)
	return route{
		{allIndex, overlap(created, projections.Span{From: midnight})},
		{crossedIndex, overlap(created, projections.Span{To: midnight - 1})},
	}
}

// overlap returns the intersection of two spans.
func overlap(a, b projections.Span) projections.Span {
	out := projections.Span{From: max(a.From, b.From), To: a.To}
	if out.To == 0 || b.To != 0 && b.To < out.To {
		out.To = b.To
	}
	return out
}

// ranges returns the segment's range in each shard's index.
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
