package ministore

import (
	"cmp"
	"slices"

	"gavel/projections/internal/picture"
)

// order is the members of a sorted set, ascending. A shard's index is short and
// grows at its end, so inserting into a slice is cheap.
type order []picture.Ref

// bounds returns the indexes from (included) and to (excluded) of a range.
func (o order) bounds(rng picture.Range) (from, to int) {
	byScore := func(ref picture.Ref, score int64) int { return cmp.Compare(ref.Score, score) }
	from, _ = slices.BinarySearchFunc(o, rng.Min, byScore)
	if rng.Max == picture.Highest {
		return from, len(o)
	}
	to, _ = slices.BinarySearchFunc(o, rng.Max+1, byScore)
	return from, max(from, to)
}

func (o order) read(rng picture.Range) []picture.Ref {
	from, to := o.bounds(rng)
	n := to - from
	if rng.Limit > 0 {
		n = min(n, rng.Limit)
	}
	if !rng.Newest {
		return slices.Clone(o[from : from+n])
	}
	out := slices.Clone(o[to-n : to])
	slices.Reverse(out)
	return out
}
