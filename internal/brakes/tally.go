package brakes

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// window is a length of time in seconds that ends now.
type window int64

// covers reports whether the window contains the second, in part or in whole. A
// second that it contains in part counts in full, so a limit is never exceeded;
// it is up to one second stricter than configured.
func (w window) covers(second, now int64) bool { return second+int64(w) >= now }

// over returns the first now at which the window no longer covers the second.
func (w window) over(second int64) int64 { return second + int64(w) + 1 }

// tally is the number n of actions that were admitted in one second since 1970.
type tally struct {
	second int64
	n      int
}

// tallies contains tallies of different seconds, oldest first.
type tallies []tally

// maxTallies bounds the tallies of an hour. Beyond it, pairs of the older half
// are merged into the later second. That makes the hour longer, never shorter.
const maxTallies = 600

// add counts one action. If this process's clock is behind another's, the action
// counts in the later second, which is stricter.
func (t tallies) add(second int64) tallies {
	if last := len(t) - 1; last >= 0 && t[last].second >= second {
		t[last].n++
		return t
	}
	return append(t, tally{second, 1}).thinned()
}

// thinned merges pairs of the older half if t exceeds maxTallies.
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

// count returns the number of actions in a window that ends now.
func (t tallies) count(w window, now int64) (n int) {
	for _, one := range t.within(w, now) {
		n += one.n
	}
	return n
}

// free returns the second from which on the window has room for one more action,
// at most most in all. If it has room already, free returns now. A most of 0 sets
// no limit.
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

// admission is one admitted action: its second and the hash of its id.
type admission struct {
	second int64
	id     uint64
}

// admissions contains admissions, oldest first.
type admissions []admission

// set returns the ids.
func (a admissions) set() map[uint64]struct{} {
	ids := make(map[uint64]struct{}, len(a))
	for _, one := range a {
		ids[one.id] = struct{}{}
	}
	return ids
}

func (a admissions) within(w window, now int64) admissions { return within(a, w, now) }

// timed is a tally or an admission.
type timed interface{ at() int64 }

func (t tally) at() int64     { return t.second }
func (a admission) at() int64 { return a.second }

// within returns the part of all that the window covers.
func within[T timed](all []T, w window, now int64) []T {
	first := slices.IndexFunc(all, func(one T) bool { return w.covers(one.at(), now) })
	if first < 0 {
		return nil
	}
	return all[first:]
}

// maxAhead is how far a stamp may be ahead of now: the clocks of two processes differ a little, and
// counting longer is stricter.
const maxAhead = 60

// timely counts stamps that are more than maxAhead ahead of now as now: a clock that was wrong and
// was corrected must not keep the brakes closed until that time. It reports whether there was one.
func timely[T timed](all []T, now int64, at func(T, int64) T) (corrected bool) {
	for i, one := range slices.Backward(all) {
		if one.at() <= now+maxAhead {
			break
		}
		all[i], corrected = at(one, now), true
	}
	if corrected { // what is less than maxAhead ahead must not come after it
		for i, one := range slices.Backward(all) {
			all[i] = at(one, min(one.at(), now))
		}
	}
	return corrected
}

func (t tallies) timely(now int64) bool {
	return timely(t, now, func(one tally, second int64) tally { one.second = second; return one })
}

func (a admissions) timely(now int64) bool {
	return timely(a, now, func(one admission, second int64) admission { one.second = second; return one })
}

// Both types are encoded in JSON as base64 of variable-length numbers. A second is
// encoded as its distance from the previous one. An hour of a busy rule is 1 KB.

// MarshalText encodes the distance and the count of each tally.
func (t tallies) MarshalText() ([]byte, error) {
	return marshal(t, func(out []byte, one tally) []byte { return binary.AppendUvarint(out, uint64(one.n)) })
}

// UnmarshalText decodes the result of MarshalText.
func (t *tallies) UnmarshalText(text []byte) (err error) {
	*t, err = unmarshal(text, func(second int64, rest []byte) (tally, int) {
		n, size := binary.Uvarint(rest)
		return tally{second, int(n & maxCount)}, size
	})
	return err
}

// MarshalText encodes the distance and the id of each admission.
func (a admissions) MarshalText() ([]byte, error) {
	return marshal(a, func(out []byte, one admission) []byte { return binary.BigEndian.AppendUint64(out, one.id) })
}

// UnmarshalText decodes the result of MarshalText.
func (a *admissions) UnmarshalText(text []byte) (err error) {
	*a, err = unmarshal(text, func(second int64, rest []byte) (admission, int) {
		if len(rest) < 8 {
			return admission{}, 0
		}
		return admission{second, binary.BigEndian.Uint64(rest)}, 8
	})
	return err
}

// maxCount keeps the count of a damaged value from becoming negative.
const maxCount = 1<<31 - 1

// maxSecond is the last second whose time.Time can be encoded as JSON.
var maxSecond = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

// marshal encodes all elements. value appends what follows an element's second.
func marshal[T timed](all []T, value func(out []byte, one T) []byte) ([]byte, error) {
	var out []byte
	before := int64(0)
	for _, one := range all {
		out = value(binary.AppendVarint(out, one.at()-before), one)
		before = one.at()
	}
	return base64.RawStdEncoding.AppendEncode(nil, out), nil
}

// unmarshal decodes all elements. value decodes the rest of one element and
// returns how many bytes it read, or 0 if they are too few. unmarshal rejects
// seconds in descending order, because the oldest element has to be the first.
func unmarshal[T timed](text []byte, value func(second int64, rest []byte) (T, int)) (all []T, err error) {
	rest, err := base64.RawStdEncoding.AppendDecode(nil, text)
	if err != nil {
		return nil, fmt.Errorf("decode admissions: %w", err)
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
