package projections

import (
	"cmp"
	"slices"
)

// Ranges is a set of numbers as sorted, disjoint, inclusive ranges that never
// touch: {1,2,3,7} is [[1 3] [7 7]]. A callback's SequenceNumber mostly extends
// the last range, so ten thousand events need a few bytes.
type Ranges [][2]int64

// Has reports whether n is in the set.
func (r Ranges) Has(n int64) bool {
	i := r.at(n)
	return i < len(r) && r[i][0] <= n
}

// at returns the index of the first range that ends at or after n.
func (r Ranges) at(n int64) int {
	i, _ := slices.BinarySearchFunc(r, n, func(x [2]int64, n int64) int { return cmp.Compare(x[1], n) })
	return i
}

// With returns the set with n added. It never changes r.
func (r Ranges) With(n int64) Ranges { return r.WithRange(n, n) }

// WithRange returns the set with all numbers from lo to hi added. It never changes r.
func (r Ranges) WithRange(lo, hi int64) Ranges {
	first := r.at(lo - 1) // touches lo, or comes after it
	last := first
	for last < len(r) && r[last][0] <= hi+1 {
		lo, hi = min(lo, r[last][0]), max(hi, r[last][1])
		last++
	}
	out := make(Ranges, 0, len(r)-(last-first)+1)
	out = append(out, r[:first]...)
	out = append(out, [2]int64{lo, hi})
	return append(out, r[last:]...)
}

// Max returns the greatest number, or -1 for the empty set.
func (r Ranges) Max() int64 {
	if len(r) == 0 {
		return -1
	}
	return r[len(r)-1][1]
}

// Count returns how many numbers are in the set.
func (r Ranges) Count() int64 {
	var n int64
	for _, x := range r {
		n += x[1] - x[0] + 1
	}
	return n
}

// union returns the numbers that are in r or s.
func (r Ranges) union(s Ranges) Ranges {
	for _, x := range s {
		r = r.WithRange(x[0], x[1])
	}
	return r
}

// holes returns the numbers between the least and the greatest that are not in the set.
func (r Ranges) holes() Ranges {
	var out Ranges
	for i := 1; i < len(r); i++ {
		out = append(out, [2]int64{r[i-1][1] + 1, r[i][0] - 1})
	}
	return out
}
