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

func (t tallies) within(w window, now int64) tallies { return within(t, w, now) }

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

func (a admissions) within(w window, now int64) admissions { return within(a, w, now) }

// timed is a tally or an admission.
type timed interface{ at() int64 }

func (t tally) at() int64     { return t.second }
func (a admission) at() int64 { return a.second }

func within[T timed](all []T, w window, now int64) []T {
	first := slices.IndexFunc(all, func(one T) bool { return w.covers(one.at(), now) })
	if first < 0 {
		return nil
	}
	return all[first:]
}

// The form of both in JSON: numbers of variable length in base64, each second
// by its distance from the one before. An hour of a busy rule is 1 KB.

// MarshalText writes distance and number, one after the other.
func (t tallies) MarshalText() ([]byte, error) {
	return marshal(t, func(out []byte, one tally) []byte { return binary.AppendUvarint(out, uint64(one.n)) })
}

// UnmarshalText reads what MarshalText wrote.
func (t *tallies) UnmarshalText(text []byte) (err error) {
	*t, err = unmarshal(text, func(second int64, rest []byte) (tally, int) {
		n, size := binary.Uvarint(rest)
		return tally{second, int(n & maxCount)}, size
	})
	return err
}

// MarshalText writes distance and id, one after the other.
func (a admissions) MarshalText() ([]byte, error) {
	return marshal(a, func(out []byte, one admission) []byte { return binary.BigEndian.AppendUint64(out, one.id) })
}

// UnmarshalText reads what MarshalText wrote.
func (a *admissions) UnmarshalText(text []byte) (err error) {
	*a, err = unmarshal(text, func(second int64, rest []byte) (admission, int) {
		if len(rest) < 8 {
			return admission{}, 0
		}
		return admission{second, binary.BigEndian.Uint64(rest)}, 8
	})
	return err
}

// maxCount keeps a bent number from being a negative one.
const maxCount = 1<<31 - 1

// maxSecond is the last that time.Time can be written as JSON for.
var maxSecond = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

func marshal[T timed](all []T, value func(out []byte, one T) []byte) ([]byte, error) {
	var out []byte
	before := int64(0)
	for _, one := range all {
		out = value(binary.AppendVarint(out, one.at()-before), one)
		before = one.at()
	}
	return base64.RawStdEncoding.AppendEncode(nil, out), nil
}

// unmarshal reads them with value, which returns how many bytes it read, none
// where there are too few. Seconds that go backwards would confuse what is oldest.
func unmarshal[T timed](text []byte, value func(second int64, rest []byte) (T, int)) (all []T, err error) {
	rest, err := base64.RawStdEncoding.AppendDecode(nil, text)
	if err != nil {
		return nil, fmt.Errorf("read admissions: %w", err)
	}
	for before := int64(0); len(rest) > 0; {
		distance, n := binary.Varint(rest)
		second := before + distance
		one, size := value(second, rest[max(n, 0):])
		switch {
		case n <= 0 || size <= 0:
			return nil, errors.New("admissions end too early")
		case second < before || second > maxSecond:
			return nil, errors.New("admissions are out of order")
		}
		all, rest, before = append(all, one), rest[n+size:], second
	}
	return all, nil
}
