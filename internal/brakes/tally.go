package brakes

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// window is a length of time in seconds, looked at backwards from now.
type window int64

// covers reports whether something that happened in that second may lie in the
// window. Of a second that lies in it in part, all counts: a limit is never
// passed, and is up to a second stricter than it says.
func (w window) covers(second, now int64) bool { return second+int64(w) >= now }

// over is the second from which on it is not covered any more.
func (w window) over(second int64) int64 { return second + int64(w) + 1 }

// tally is how many were admitted in one second, since 1970.
type tally struct {
	second int64
	n      int
}

// tallies are of different seconds, oldest first.
type tallies []tally

// maxTallies bounds what is kept of an hour. Beyond it the older half is kept
// by pairs of seconds, which makes the hour longer, never shorter.
const maxTallies = 600

// add counts one. A clock that is behind another process's counts in that one's
// second, which is later and so the stricter one.
func (t tallies) add(second int64) tallies {
	if last := len(t) - 1; last >= 0 && t[last].second >= second {
		t[last].n++
		return t
	}
	return append(t, tally{second, 1}).thinned()
}

func (t tallies) thinned() tallies {
	if len(t) <= maxTallies {
		return t
	}
	half := len(t) / 4 * 2
	out := make(tallies, 0, len(t)-half/2)
	for i := 0; i < half; i += 2 {
		out = append(out, tally{t[i+1].second, t[i].n + t[i+1].n})
	}
	return append(out, t[half:]...)
}

func (t tallies) within(w window, now int64) tallies {
	first := slices.IndexFunc(t, func(one tally) bool { return w.covers(one.second, now) })
	if first < 0 {
		return nil
	}
	return t[first:]
}

// count is how many there were in a window that ends now.
func (t tallies) count(w window, now int64) (n int) {
	for _, one := range t.within(w, now) {
		n += one.n
	}
	return n
}

// free is the second from which on one more would not be more than most in the
// window; it is not after now where there is room. 0 is no limit.
func (t tallies) free(w window, most int, now int64) int64 {
	n := t.count(w, now)
	if most <= 0 || n < most {
		return now
	}
	for _, one := range t.within(w, now) {
		if n -= one.n; n < most {
			return w.over(one.second)
		}
	}
	return now
}

// admission is one action that was admitted.
type admission struct {
	second int64
	id     uint64
}

// admissions are oldest first.
type admissions []admission

func (a admissions) add(one admission) admissions {
	a = append(a, one)
	return a[max(0, len(a)-maxIDs):]
}

func (a admissions) within(w window, now int64) admissions {
	first := slices.IndexFunc(a, func(one admission) bool { return w.covers(one.second, now) })
	if first < 0 {
		return nil
	}
	return a[first:]
}

// The form of both in JSON: numbers of variable length in base64, each second
// by its distance from the one before. An hour of a busy rule is 1 KB.

// MarshalText writes distance and number, one after the other.
func (t tallies) MarshalText() ([]byte, error) {
	var out []byte
	before := int64(0)
	for _, one := range t {
		out = binary.AppendVarint(out, one.second-before)
		out = binary.AppendUvarint(out, uint64(one.n))
		before = one.second
	}
	return base64.RawStdEncoding.AppendEncode(nil, out), nil
}

// UnmarshalText reads what MarshalText wrote.
func (t *tallies) UnmarshalText(text []byte) error {
	r, err := newReader(text)
	*t = nil
	for err == nil && r.more() {
		one := tally{second: r.second(), n: int(r.uvarint() & maxCount)}
		err = r.fault
		*t = append(*t, one)
	}
	return err
}

// MarshalText writes distance and id, one after the other.
func (a admissions) MarshalText() ([]byte, error) {
	var out []byte
	before := int64(0)
	for _, one := range a {
		out = binary.AppendVarint(out, one.second-before)
		out = binary.BigEndian.AppendUint64(out, one.id)
		before = one.second
	}
	return base64.RawStdEncoding.AppendEncode(nil, out), nil
}

// UnmarshalText reads what MarshalText wrote.
func (a *admissions) UnmarshalText(text []byte) error {
	r, err := newReader(text)
	*a = nil
	for err == nil && r.more() {
		one := admission{second: r.second(), id: r.fixed64()}
		err = r.fault
		*a = append(*a, one)
	}
	return err
}

// maxCount keeps a bent number from being a negative one.
const maxCount = 1<<31 - 1

var errShort = errors.New("admissions end too early")

// reader reads numbers until one cannot be read.
type reader struct {
	rest   []byte
	before int64
	fault  error
}

func newReader(text []byte) (*reader, error) {
	raw, err := base64.RawStdEncoding.AppendDecode(nil, text)
	if err != nil {
		return nil, fmt.Errorf("read admissions: %w", err)
	}
	return &reader{rest: raw}, nil
}

func (r *reader) more() bool { return len(r.rest) > 0 }

// second reads one; seconds that go backwards would confuse what is oldest.
func (r *reader) second() int64 {
	distance, n := binary.Varint(r.rest)
	r.skip(n)
	at := r.before + distance
	if at < r.before || at > maxSecond {
		r.fault = errors.New("admissions are out of order")
	}
	r.before = at
	return at
}

// maxSecond is the last that time.Time can be written as JSON for.
var maxSecond = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.skip(n)
	return v
}

func (r *reader) fixed64() uint64 {
	if len(r.rest) < 8 {
		r.skip(0)
		return 0
	}
	v := binary.BigEndian.Uint64(r.rest)
	r.skip(8)
	return v
}

func (r *reader) skip(n int) {
	if n <= 0 || n > len(r.rest) {
		r.fault, r.rest = errShort, nil
		return
	}
	r.rest = r.rest[n:]
}
