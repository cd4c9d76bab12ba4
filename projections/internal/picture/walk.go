package picture

import (
	"context"
	"slices"
)

// walk merges ranges of many indexes into one order: by time, then by member,
// newest or oldest first.
type walk struct {
	engine  Engine
	newest  bool
	streams []*stream
}

// stream is the read position in one of the ranges.
type stream struct {
	rng Range
	// last is the last reference read; reading continues after it. Nil before the first.
	last  *Ref
	ahead []Ref
	done  bool
}

// minAhead is the least number of references read of one stream at once.
const minAhead = 8

// newWalk returns a walk over ranges from behind start, or from their ends if
// start is nil. It is sized for about want references in all.
func newWalk(engine Engine, ranges []Range, newest bool, start *Ref, want int) *walk {
	w := &walk{engine: engine, newest: newest}
	for _, r := range ranges {
		r.Newest = newest
		// Twice the even share: a hash distributes the conferences.
		r.Limit = minAhead + 2*want/len(ranges)
		s := &stream{rng: r, last: start}
		s.narrow(newest)
		w.streams = append(w.streams, s)
	}
	return w
}

// compare orders references in the direction of the walk.
func compare(a, b Ref, newest bool) int {
	if newest {
		a, b = b, a
	}
	return a.Compare(b)
}

// found is a reference and the index of its range.
type found struct {
	Ref
	from int
}

// next returns the next n references, fewer at the end.
func (w *walk) next(ctx context.Context, n int) ([]found, error) {
	var out []found
	for len(out) < n {
		if err := w.refill(ctx); err != nil {
			return nil, err
		}
		i := w.nextStream()
		if i < 0 {
			break
		}
		s := w.streams[i]
		out = append(out, found{s.ahead[0], i})
		s.ahead = s.ahead[1:]
	}
	return out, nil
}

// nextStream returns the index of the stream with the next reference, or -1.
func (w *walk) nextStream() int {
	best := -1
	for i, s := range w.streams {
		if len(s.ahead) > 0 && (best < 0 || compare(s.ahead[0], w.streams[best].ahead[0], w.newest) < 0) {
			best = i
		}
	}
	return best
}

// refill reads more of every empty stream, all in one round trip.
func (w *walk) refill(ctx context.Context) error {
	for {
		var empty []*stream
		var ranges []Range
		for _, s := range w.streams {
			if len(s.ahead) == 0 && !s.done {
				empty, ranges = append(empty, s), append(ranges, s.rng)
			}
		}
		if len(empty) == 0 {
			return nil
		}
		read, err := w.engine.Ranges(ctx, ranges)
		if err != nil {
			return err
		}
		for i, s := range empty {
			s.fill(read[i], w.newest)
		}
	}
}

// fill adds references that were read. A range begins at a whole second, so it may repeat
// references read before; if it holds nothing else, refill reads more at once.
func (s *stream) fill(read []Ref, newest bool) {
	s.done = len(read) < s.rng.Limit
	if s.last != nil {
		at := slices.IndexFunc(read, func(r Ref) bool { return compare(r, *s.last, newest) > 0 })
		if at < 0 {
			at = len(read)
		}
		read = read[at:]
	}
	if len(read) == 0 {
		s.rng.Limit *= 2
		return
	}
	s.ahead, s.last = read, &read[len(read)-1]
	s.narrow(newest)
}

// narrow makes the range begin at the last reference.
func (s *stream) narrow(newest bool) {
	switch {
	case s.last == nil:
	case newest:
		s.rng.Max = min(s.rng.Max, s.last.Score)
	default:
		s.rng.Min = max(s.rng.Min, s.last.Score)
	}
}
