// Package chain finds out whether the journal still is the one that Gavel processed. It is pure,
// except for the file and the ledger.
//
// A lane's owner hashes each group of the journal together with the hash of the group before. The
// result, with the identity of the journal, is stored in two places outside the journal: beside the
// lane's position in Redis, and in a file in the data directory. A journal that was restored from a
// backup, shortened or damaged no longer leads to the same hashes.
//
// The hash is XXH64: it protects against accidents. A person who can change the journal on purpose
// can change the hashes as well.
//
// Reading order: chain.go (links and records), walk.go (reading a journal against a record),
// file.go and heads.go (the second place), ledger.go (lanes that wait for an operator).
package chain

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
)

const (
	// markEvery and markBytes are how many groups, or bytes in them, lie between two marks at the
	// most. A lane that is taken over is verified from the mark before the last one on, so the two
	// bound what a take-over reads.
	markEvery = 512
	markBytes = 8 << 20
	// maxMarks bounds the marks of a record, and so the size of the file: when there are more, every
	// second one of the older half is removed.
	maxMarks = 128
	// briefMarks are the marks that Redis holds.
	briefMarks = 2
)

// Link is the chain of a lane after one group.
type Link struct {
	Sequence uint64 `json:"seq"`    // stream sequence of the group
	Sum      uint64 `json:"sum"`    // XXH64 of all groups since the base of the record
	Groups   uint64 `json:"groups"` // their number
	Bytes    uint64 `json:"bytes"`  // their length
	Stored   int64  `json:"at"`     // when NATS stored the group, Unix time in ns
}

// Hasher makes links. It must not be used by two goroutines at once.
type Hasher struct {
	digest xxhash.Digest
	head   [8]byte
}

// Next returns the link of the group behind l.
func (h *Hasher) Next(l Link, sequence uint64, data []byte, stored time.Time) Link {
	h.digest.ResetWithSeed(l.Sum)
	binary.LittleEndian.PutUint64(h.head[:], sequence)
	_, _ = h.digest.Write(h.head[:]) // it never fails
	_, _ = h.digest.Write(data)
	return Link{
		Sequence: sequence, Sum: h.digest.Sum64(), Groups: l.Groups + 1, Bytes: l.Bytes + uint64(len(data)), Stored: stored.UnixNano(),
	}
}

// Journal is the state of the journal's stream, as NATS reports it.
type Journal struct {
	Created int64  `json:"created"` // when the stream was created, Unix time in ns: its incarnation
	First   uint64 `json:"first"`   // sequence of its first message
	Last    uint64 `json:"last,omitempty"`
	Deleted uint64 `json:"deleted,omitempty"` // messages that are missing between First and Last
}

// Record is what is remembered of a lane. The zero Record remembers nothing.
type Record struct {
	// Journal is the state of the stream when the record began; its Last is not used.
	Journal Journal `json:"journal"`
	// Accepted is the number of the acceptance after which the record began, 0 without one.
	Accepted uint64 `json:"accepted,omitempty"`
	// Base is where the chain begins: groups up to it are not part of it.
	Base Link `json:"base"`
	// Marks are some links between Base and Head, in order.
	Marks []Link `json:"marks,omitempty"`
	// Head is the newest link.
	Head Link `json:"head"`
}

// Begin returns the record of a chain that begins behind a stream sequence.
func Begin(j Journal, accepted, sequence uint64) Record {
	j.First, j.Last = max(j.First, 1), 0 // an empty stream has no first message
	base := Link{Sequence: sequence}
	return Record{Journal: j, Accepted: accepted, Base: base, Head: base}
}

// Empty reports whether r remembers nothing.
func (r *Record) Empty() bool { return r.Journal.Created == 0 }

// Add makes l the head. The marks of earlier copies of r stay as they are.
func (r *Record) Add(l Link) {
	r.Head = l
	last := r.Base
	if len(r.Marks) > 0 {
		last = r.Marks[len(r.Marks)-1]
	}
	if l.Groups-last.Groups < markEvery && l.Bytes-last.Bytes < markBytes {
		return
	}
	r.Marks = append(slices.Clip(r.Marks), l)
	if len(r.Marks) <= maxMarks {
		return
	}
	thin := make([]Link, 0, maxMarks)
	for i, m := range r.Marks {
		if i%2 == 1 || i >= maxMarks/2 {
			thin = append(thin, m)
		}
	}
	r.Marks = thin
}

// Join returns r with the marks of the same chain in other, which has older ones.
func (r Record) Join(other Record) Record {
	if other.Journal != r.Journal || other.Accepted != r.Accepted || other.Base != r.Base {
		return r
	}
	first := r.Head.Sequence
	if len(r.Marks) > 0 {
		first = r.Marks[0].Sequence
	}
	older := slices.Clone(other.Marks)
	older = slices.DeleteFunc(older, func(l Link) bool { return l.Sequence >= first })
	r.Marks = append(older, r.Marks...)
	return r
}

// Brief returns r as Redis holds it: with the newest marks only.
func (r *Record) Brief() string {
	short := *r
	short.Marks = short.Marks[max(0, len(short.Marks)-briefMarks):]
	text, _ := json.Marshal(short) // it has no value that cannot be encoded
	return string(text)
}

// Parse parses a text of Brief; an empty text is the zero Record.
func Parse(text string) (r Record, err error) {
	if text == "" {
		return r, nil
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return Record{}, fmt.Errorf("parse the chain of the lane: %w", err)
	}
	return r, nil
}

// links are all known links, in order, from the base to the head.
func (r *Record) links() []Link {
	all := append([]Link{r.Base}, r.Marks...)
	if r.Head.Sequence > all[len(all)-1].Sequence {
		all = append(all, r.Head)
	}
	return all
}

// Kind is what is wrong with a journal.
type Kind string

// The kinds.
const (
	// Behind: it ends before the last group that was processed, or it is another journal.
	Behind Kind = "journal-behind"
	// Shortened: messages are missing at its front or in its middle.
	Shortened Kind = "journal-shortened"
	// Damaged: its groups differ from those that were processed.
	Damaged Kind = "journal-damaged"
)

// Fault is what is wrong with a lane of the journal, and where: the stream sequences From to To.
type Fault struct {
	Kind Kind   `json:"kind"`
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
	Why  string `json:"why"`
}

// Error names the kind and the extent.
func (f *Fault) Error() string {
	return fmt.Sprintf("%s from %d to %d: %s; compare it with a backup, or run gavel journal accept --reason TEXT", f.Kind, f.From, f.To, f.Why)
}

// Compare compares the stream with r, and returns nil if nothing is missing by its numbers.
func (r *Record) Compare(j Journal) *Fault {
	switch was := r.Journal; {
	case r.Empty():
		return nil
	case j.Created != was.Created:
		return &Fault{Behind, was.First, r.Head.Sequence, fmt.Sprintf("the stream was created at %s, not at %s: it is another journal",
			time.Unix(0, j.Created).UTC().Format(time.RFC3339), time.Unix(0, was.Created).UTC().Format(time.RFC3339))}
	case j.Last < r.Head.Sequence:
		return &Fault{Behind, j.Last + 1, r.Head.Sequence, "these groups were processed, and the journal ends before them"}
	case j.First > was.First:
		return &Fault{Shortened, was.First, j.First - 1, "the journal has lost its front"}
	case j.Deleted > was.Deleted:
		return &Fault{Shortened, j.First, j.Last, fmt.Sprintf("%d messages are missing in between", j.Deleted-was.Deleted)}
	}
	return nil
}
