package chain

import (
	"fmt"
	"time"
)

// Walk compares groups of a lane, read in order, with the known links of a record.
type Walk struct {
	hasher   Hasher
	at       Link
	verified uint64 // sequence of the last known link that was reached
	known    []Link // behind verified
}

// WalkAll begins at the base of r.
func WalkAll(r Record) *Walk {
	known := r.links()
	return &Walk{at: known[0], verified: known[0].Sequence, known: known[1:]}
}

// WalkTail begins at the mark before the last one, or at the base. The groups behind it show
// whether the journal was rolled back and has grown again since.
func WalkTail(r Record) *Walk {
	w := WalkAll(r)
	if skip := len(r.Marks) - 1; skip > 0 {
		w.at, w.known = r.Marks[skip-1], w.known[skip:]
		w.verified = w.at.Sequence
	}
	return w
}

// WalkSample is the part between two neighbouring known links of r; pick returns the number of one
// of n. A record that has only its base has no part.
func WalkSample(r Record, pick func(n int) int) *Walk {
	known := r.links()
	if len(known) < 2 {
		return &Walk{}
	}
	i := pick(len(known) - 1)
	return &Walk{at: known[i], verified: known[i].Sequence, known: known[i+1 : i+2]}
}

// From is the first stream sequence to read, To the last one: the head's.
func (w *Walk) From() uint64 { return w.at.Sequence + 1 }

// To is the last stream sequence to read, 0 if the walk is at its end.
func (w *Walk) To() uint64 {
	if len(w.known) == 0 {
		return 0
	}
	return w.known[len(w.known)-1].Sequence
}

// Add adds the next group. It ignores groups before From and behind To, so that a reader of more,
// or of parts again, can pass all it reads.
func (w *Walk) Add(sequence uint64, data []byte, stored time.Time) *Fault {
	if len(w.known) == 0 || sequence <= w.at.Sequence {
		return nil
	}
	if sequence > w.known[0].Sequence {
		return w.fault(w.known[0], "the last of these groups is missing")
	}
	w.at = w.hasher.Next(w.at, sequence, data, stored)
	next := w.known[0]
	if sequence < next.Sequence {
		return nil
	}
	if w.at.Sum != next.Sum {
		return w.fault(next, "the hash of these groups is not that of the groups that were processed")
	}
	w.verified, w.known = sequence, w.known[1:]
	return nil
}

// End returns a fault if known links up to a sequence were not reached. The caller has read all
// groups up to there.
func (w *Walk) End(upTo uint64) *Fault {
	if len(w.known) == 0 || w.known[0].Sequence > upTo {
		return nil
	}
	return w.fault(w.known[0], "the last of these groups is missing")
}

// fault is that the groups up to a known link are not those that were processed. Which of them
// differ is unknown between two links.
func (w *Walk) fault(next Link, why string) *Fault {
	missing := ""
	if w.at.Groups < next.Groups && w.at.Sequence >= next.Sequence {
		missing = fmt.Sprintf("; %d of them are missing", next.Groups-w.at.Groups)
	}
	return &Fault{Damaged, w.verified + 1, next.Sequence, why + missing}
}
