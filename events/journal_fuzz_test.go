package events_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
)

func splitAll(g events.Group) (entries []events.Entry, err error) {
	err = g.Split(func(index int, e events.Entry) error {
		if index != len(entries) {
			return errors.New("index out of step")
		}
		entries = append(entries, e)
		return nil
	})
	return entries, err
}

func FuzzGroupRoundTrip(f *testing.F) {
	f.Add(uint8(1), int64(1700000000000000000), "queue=sales", "A=1&B=2", "")
	f.Add(uint8(4), int64(-1), "", "", "\x00\xff")
	f.Fuzz(func(t *testing.T, source uint8, nanos int64, query, first, second string) {
		query = strings.ReplaceAll(query, " ", "+") // a query has no space
		at := time.Unix(0, nanos).UTC()
		want := []events.Entry{
			{Source: events.Source(source), ReceivedAt: at, Query: query, Form: first},
			{Source: events.SourceGavel, ReceivedAt: at, Form: second},
		}
		var data []byte
		for _, e := range want {
			data = events.AppendEntry(data, e)
		}
		got, err := splitAll(events.Group{Data: data})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzGroupSplit(f *testing.F) {
	f.Add(events.AppendEntry(nil, events.Entry{Source: events.SourceCallback, ReceivedAt: received, Form: "A=1"}))
	f.Add([]byte{1, 1, 2, 0xff})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := splitAll(events.Group{Data: data})
		if err != nil && !errors.Is(err, events.ErrGroup) {
			t.Fatal(err)
		}
		var again []byte
		for _, e := range entries {
			again = events.AppendEntry(again, e)
		}
		if err == nil && len(entries) > 0 {
			if back, err := splitAll(events.Group{Data: again}); err != nil || !cmp.Equal(entries, back) {
				t.Fatalf("does not survive: %v", err)
			}
		}
	})
}
