package events_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
)

const ulid = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

func TestDroppedNumbersComeBackAsTheyWent(t *testing.T) {
	t.Parallel()
	ranges := [][2]int64{{0, 0}, {3, 5}, {9, 9}, {2147483646, 2147483647}}
	key := events.Key{AccountSid: account, ConferenceSid: conference}
	e, err := events.Parse(events.NewSpeechDropped(ulid, key, ranges, received))
	if err != nil {
		t.Fatal(err)
	}
	if e.Kind != events.SpeechDropped || e.ID != ulid || e.Key() != key || e.SequenceNumber != events.NoSequence {
		t.Errorf("got %+v", e)
	}
	got, err := events.DroppedNumbers(e)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ranges, got); diff != "" {
		t.Error(diff)
	}
}

func TestOwnEntriesAreChecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, field, change, value string }{
		{"unknown event", "Event", "Event", "gavel-novelty"},
		{"no event", "Event", "Event", "-"},
		{"no ULID", "Id", "Id", "01ARZ3NDEKTSV4RRFFQ69G5FAU"},
		{"ULID beyond 128 bits", "Id", "Id", "81ARZ3NDEKTSV4RRFFQ69G5FAV"},
		{"no account", "AccountSid", "AccountSid", "-"},
		{"no conference", "ConferenceSid", "ConferenceSid", ""},
		{"no numbers", "SequenceNumbers", "SequenceNumbers", "-"},
		{"backwards", "SequenceNumbers", "SequenceNumbers", "5-3"},
		{"out of order", "SequenceNumbers", "SequenceNumbers", "5,3"},
		{"overlapping", "SequenceNumbers", "SequenceNumbers", "3-5,5"},
		{"open range", "SequenceNumbers", "SequenceNumbers", "3-"},
		{"too great", "SequenceNumbers", "SequenceNumbers", "2147483648"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			form := changed(t, "own/gavel-speech-dropped.form", c.change, c.value)
			_, err := events.Parse(entry(events.SourceGavel, form))
			want := c.field
			wantFault(t, err, want)
		})
	}
	_, err := events.Parse(entry(events.SourceGavel, sample(t, "own/gavel-speech-dropped.form")+"&Id="+ulid))
	wantFault(t, err, "unknown parameter")
}

func TestRangesAreBounded(t *testing.T) {
	t.Parallel()
	for count, want := range map[int]bool{events.MaxDroppedRanges: true, events.MaxDroppedRanges + 1: false} {
		var numbers []string
		for n := range count {
			numbers = append(numbers, strconv.Itoa(2*n))
		}
		form := changed(t, "own/gavel-speech-dropped.form", "SequenceNumbers", strings.Join(numbers, ","))
		if _, err := events.Parse(entry(events.SourceGavel, form)); (err == nil) != want {
			t.Errorf("%d ranges: %v", count, err)
		}
	}
}

func TestTwilioCannotSpeakInOurName(t *testing.T) {
	t.Parallel()
	_, err := events.Parse(entry(events.SourceCallback, sample(t, "own/gavel-speech-dropped.form")))
	wantFault(t, err, "FriendlyName")
}
