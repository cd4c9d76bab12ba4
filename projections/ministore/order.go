package ministore

import (
	"cmp"
	"slices"

	"gavel/projections/internal/picture"
)

// set is a sorted set. A nil set is empty.
type set struct {
	members order
	// scores are by member, nil while the set is short.
	scores map[string]int64
}

// short is up to how many members a set is searched for one without a map: most names are those of
// a few conferences.
const short = 16

func (s *set) refs() order {
	if s == nil {
		return nil
	}
	return s.members
}

// add adds a member, or changes its score.
func (s *set) add(ref picture.Ref) {
	s.remove(ref.Member)
	at, _ := slices.BinarySearchFunc(s.members, ref, picture.Ref.Compare)
	s.members = slices.Insert(s.members, at, ref)
	if s.scores != nil {
		s.scores[ref.Member] = ref.Score
	}
	s.mapIfLong()
}

// mapIfLong makes the map of a set that is not short any more.
func (s *set) mapIfLong() {
	if s.scores != nil || len(s.members) <= short {
		return
	}
	s.scores = make(map[string]int64, len(s.members))
	for _, ref := range s.members {
		s.scores[ref.Member] = ref.Score
	}
}

func (s *set) remove(member string) {
	if s == nil {
		return
	}
	if at := s.find(member); at >= 0 {
		s.members = slices.Delete(s.members, at, at+1)
		delete(s.scores, member)
	}
}

// find returns the index of a member, -1 if it is not in the set.
func (s *set) find(member string) int {
	if s.scores == nil {
		return slices.IndexFunc(s.members, func(ref picture.Ref) bool { return ref.Member == member })
	}
	score, ok := s.scores[member]
	if !ok {
		return -1
	}
	at, _ := slices.BinarySearchFunc(s.members, picture.Ref{Score: score, Member: member}, picture.Ref.Compare)
	return at
}

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
