package events

import (
	"strconv"
	"strings"
	"time"
)

// MaxDroppedRanges bounds the ranges that one speech-dropped entry names, and
// with them its size: below 14 KiB.
const MaxDroppedRanges = 500

// NewSpeechDropped returns the entry with the sequence numbers that the door left out on purpose.
// id is a ULID, made before the first append so that a repeated append is the same fact. ranges are
// inclusive, sorted, apart from each other, and at most MaxDroppedRanges.
func NewSpeechDropped(id string, key Key, ranges [][2]int64, at time.Time) Entry {
	var b strings.Builder
	for i, r := range ranges {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(r[0], 10))
		if r[1] != r[0] {
			b.WriteString("-" + strconv.FormatInt(r[1], 10))
		}
	}
	return newOwn(SpeechDropped, at, id, key.AccountSid, key.ConferenceSid, b.String())
}

// DroppedNumbers returns the sequence numbers that a SpeechDropped event
// names, as inclusive ranges, sorted and apart: at least one, at most
// MaxDroppedRanges, each number within 0..2^31-1. The error is a *FormError.
func DroppedNumbers(e Event) ([][2]int64, error) {
	ranges, fault := parseRanges(e.Params.Get("SequenceNumbers"))
	if fault != "" {
		return nil, &FormError{Field: "SequenceNumbers", Reason: fault}
	}
	return ranges, nil
}

// parseRanges reads "3-5,9", or returns why it is out of form.
func parseRanges(list string) (ranges [][2]int64, fault string) {
	count := strings.Count(list, ",") + 1
	if count > MaxDroppedRanges {
		return nil, "has too many ranges"
	}
	ranges = make([][2]int64, 0, count)
	next := int64(0)
	for piece := range strings.SplitSeq(list, ",") {
		r, ok := parseRange(piece)
		if !ok || r[0] < next {
			return nil, "is not a list of ranges"
		}
		next = r[1] + 1
		ranges = append(ranges, r)
	}
	return ranges, ""
}

// parseRange reads "3" or "3-5".
func parseRange(s string) (r [2]int64, ok bool) {
	from, to, isRange := strings.Cut(s, "-")
	if r[0], ok = parseNumber(from); !ok {
		return r, false
	}
	if !isRange {
		return [2]int64{r[0], r[0]}, true
	}
	r[1], ok = parseNumber(to)
	return r, ok && r[0] <= r[1]
}
