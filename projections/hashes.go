package projections

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"
	"strings"

	"gavel/events"
)

// Hashes are hashes of ids, hashBytes each: what a record remembers of the parts that it had to
// remove. No two ids of one conference have the same in practice.
type Hashes []byte

const (
	hashBytes = 8
	// maxHashes is more legs than join a conference in a day at one in a second.
	maxHashes = 1 << 17
)

func hashOf(id string) []byte {
	sum := sha256.Sum256([]byte(id))
	return sum[:hashBytes]
}

// at returns where the hash of an id begins, or -1.
func (h Hashes) at(id string) int {
	if len(h) == 0 {
		return -1
	}
	want := hashOf(id)
	for i := 0; i < len(h); i += hashBytes {
		if bytes.Equal(h[i:i+hashBytes], want) {
			return i
		}
	}
	return -1
}

// Has reports whether an id is one of them.
func (h Hashes) Has(id string) bool { return h.at(id) >= 0 }

// with returns the hashes and that of an id, without the oldest if there are too many.
func (h Hashes) with(id string) Hashes {
	all := slices.Concat(h, hashOf(id))
	return all[max(0, len(all)-maxHashes*hashBytes):]
}

// without returns the hashes except that of an id, nil if there are no others.
func (h Hashes) without(id string) Hashes {
	i := h.at(id)
	if i < 0 {
		return h
	}
	if len(h) == hashBytes {
		return nil
	}
	return slices.Concat(h[:i], h[i+hashBytes:])
}

// removeLeg removes the leg that left first, and reports whether one has left.
func (d *draft) removeLeg() bool {
	first := -1
	for i, p := range d.Participants {
		if !p.Live() && (first < 0 || CompareTurns(p.Last, d.Participants[first].Last) < 0) {
			first = i
		}
	}
	if first < 0 {
		return false
	}
	d.Removed = d.Removed.with(d.Participants[first].CallSid)
	d.Participants = slices.Delete(slices.Clone(d.Participants), first, first+1)
	return true
}

// settleAction removes an action that has its outcome, and reports whether one has. Those of people
// go first: nothing performs them again. Then those of rules that were not done, and the oldest.
func (d *draft) settleAction() bool {
	rank := func(a *ActionRecord) int {
		switch {
		case a.Actor.Rule == "":
			return 0
		case a.Outcome.Result != events.Done:
			return 1
		}
		return 2
	}
	first := -1
	for i, a := range d.Actions {
		if a.Outcome == nil {
			continue
		}
		if first < 0 {
			first = i
			continue
		}
		f := d.Actions[first]
		if cmp.Or(rank(a)-rank(f), cmp.Compare(a.At, f.At), strings.Compare(a.ID, f.ID)) < 0 {
			first = i
		}
	}
	if first < 0 {
		return false
	}
	d.Settled = d.Settled.with(d.Actions[first].ID)
	d.Actions = slices.Delete(slices.Clone(d.Actions), first, first+1)
	return true
}
