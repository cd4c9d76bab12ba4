package events

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

// Shards is the number of hash tags that conferences are spread over; lanes
// are unions of shards. Stored keys depend on it: never change it.
const Shards = 64

// Shard returns the shard of a conference, 0 <= shard < Shards: the 32-bit
// FNV-1a hash of the canonical ConferenceSid, its upper half XORed into the lower
// one, modulo Shards. Stored keys depend on the result.
func Shard(conferenceSid string) int {
	h := uint32(2166136261)
	for i := range len(conferenceSid) {
		h = (h ^ uint32(conferenceSid[i])) * 16777619
	}
	return int(h>>16^h) & (Shards - 1)
}

// Lane returns the lane of a conference in a journal with that many lanes.
func Lane(conferenceSid string, lanes int) int { return Shard(conferenceSid) % lanes }

// Position is a place in the journal: a stream sequence and the index of the
// entry within that message's group.
type Position struct {
	Sequence uint64 `json:"s"`
	Index    int    `json:"i"`
}

// After reports whether p is behind q.
func (p Position) After(q Position) bool {
	if p.Sequence != q.Sequence {
		return p.Sequence > q.Sequence
	}
	return p.Index > q.Index
}

// String writes "sequence.index".
func (p Position) String() string {
	return strconv.FormatUint(p.Sequence, 10) + "." + strconv.Itoa(p.Index)
}

// ParsePosition parses the output of String.
func ParsePosition(s string) (Position, error) {
	seq, idx, ok := strings.Cut(s, ".")
	if !ok {
		return Position{}, fmt.Errorf("parse position %q: no dot", s)
	}
	n, err := strconv.ParseUint(seq, 10, 64)
	i, indexErr := strconv.ParseUint(idx, 10, 31)
	if err := cmp.Or(err, indexErr); err != nil {
		return Position{}, fmt.Errorf("parse position %q: %w", s, err)
	}
	return Position{Sequence: n, Index: int(i)}, nil
}

// Entry is one fact as received, not interpreted: the verified parameters in
// Twilio's own form encoding, and how they reached us.
type Entry struct {
	Source     Source
	ReceivedAt time.Time
	// Query is the allowed query string of the callback URL, raw.
	Query string
	// Region is the region of the account whose key signed; empty for the home region.
	Region string
	// Form is the parameters as application/x-www-form-urlencoded.
	Form string
}

// Limits of one journal message. A group closes at whichever comes first.
const (
	MaxGroupBytes   = 256 << 10
	MaxGroupEntries = 500
)

// groupVersion opens every journal message, so that a later format can be
// distinguished from this one.
const groupVersion byte = 1

// Group is one journal message of a lane: entries that waited together.
type Group struct {
	Lane     int
	Sequence uint64    // of the stream
	Stored   time.Time // by NATS's clock
	// Data is as AppendEntry built it. It must not be written after Split: the
	// entries are parts of it.
	Data []byte
}

// ErrGroup is returned for a journal message that this version cannot split.
var ErrGroup = errors.New("journal group is damaged or of an unknown version")

// regionMark stands between the query and the region of an entry. No query contains a space, so that
// entries without a region keep their bytes, and an older build reads the others: it shows the
// region behind the query.
const regionMark = " "

// AppendEntry adds e to a group; an empty dst begins one.
func AppendEntry(dst []byte, e Entry) []byte {
	if len(dst) == 0 {
		dst = append(dst, groupVersion)
	}
	dst = append(dst, byte(e.Source))
	dst = binary.AppendVarint(dst, e.ReceivedAt.UnixNano())
	query := e.Query
	if e.Region != "" {
		query += regionMark + e.Region
	}
	dst = binary.AppendUvarint(dst, uint64(len(query)))
	dst = append(dst, query...)
	dst = binary.AppendUvarint(dst, uint64(len(e.Form)))
	return append(dst, e.Form...)
}

// Split calls fn for each entry of the group, in order, with its index. It stops at fn's first
// error and returns it; a damaged group is ErrGroup, after the entries before the damage.
func (g Group) Split(fn func(index int, e Entry) error) error {
	b := g.Data
	if len(b) == 0 || b[0] != groupVersion {
		return ErrGroup
	}
	b = b[1:]
	// s shares the memory of b, and entries are substrings of s: copies would be a
	// fifth of the cost of reading a message.
	s := unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // Data is never written, see Group
	for i := 0; len(b) > 0; i++ {
		e := Entry{Source: Source(b[0])}
		b, s = b[1:], s[1:]
		nanos, n := binary.Varint(b)
		if n <= 0 {
			return ErrGroup
		}
		b, s = b[n:], s[n:]
		e.ReceivedAt = time.Unix(0, nanos).UTC()
		var ok bool
		if e.Query, b, s, ok = cutString(b, s); !ok {
			return ErrGroup
		}
		if query, region, _ := strings.Cut(e.Query, regionMark); region != "" {
			e.Query, e.Region = query, region
		}
		if e.Form, b, s, ok = cutString(b, s); !ok {
			return ErrGroup
		}
		if err := fn(i, e); err != nil {
			return err
		}
	}
	return nil
}

// cutString cuts a length-prefixed string off the front of b. s is b as a string, so that head
// needs no copy. restB and restS are what follows head in b and in s. ok is false if b is damaged.
func cutString(b []byte, s string) (head string, restB []byte, restS string, ok bool) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return "", nil, "", false
	}
	end := n + int(length)
	return s[n:end], b[end:], s[end:], true
}

// DeadLetter is a genuine fact that could not be processed. It is stored so that
// a person can inspect it and send it again.
type DeadLetter struct {
	// Kind is "refused" (the door did not accept the form), "unfoldable" (the projector could not
	// fold it) or "unperformed" (a rule's decision was not performed within its deadline).
	Kind       string    `json:"kind"`
	AccountSid string    `json:"account_sid"`
	Reason     string    `json:"reason"`
	Field      string    `json:"field,omitempty"`
	ReceivedAt time.Time `json:"received_at"`
	Source     Source    `json:"source"`
	Query      string    `json:"query,omitempty"`
	Region     string    `json:"region,omitempty"`
	Form       string    `json:"form,omitempty"`
	// Raw is the input if it was not a form: an Event Streams item, or a damaged group.
	Raw []byte `json:"raw,omitempty"`
	// Position is the entry's place in the journal, for "unfoldable".
	Position string `json:"position,omitempty"`
	// ConferenceSid and Decision name the decision of an "unperformed".
	ConferenceSid string `json:"conference_sid,omitempty"`
	Decision      string `json:"decision,omitempty"`
}

// Kinds of dead letters.
const (
	Refused     = "refused"
	Unfoldable  = "unfoldable"
	Unperformed = "unperformed"
)
