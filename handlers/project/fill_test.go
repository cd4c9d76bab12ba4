package project

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"runtime"
	"strconv"
	"testing"
	"time"

	"gavel/events"
	"gavel/lanes"
	"gavel/projections"
	"gavel/projections/ministore"
)

// These tests are inside the package to see how many conferences a fill holds. The store is real,
// the journal is in memory; its size is what matters here.

const filledAccount = "AC00000000000000000000000000000001"

// written is a journal of groups in memory.
type written struct{ groups []events.Group }

// append adds groups with one join of each of the conferences from..to, received at a time.
func (w *written) append(from, to, seq int, at time.Time) { w.appendSigned(from, to, seq, at, at) }

// appendSigned is append for joins that Twilio signed at another time than the door's clock showed.
func (w *written) appendSigned(from, to, seq int, signed, at time.Time) {
	const perGroup = 100
	for ; from < to; from += perGroup {
		var data []byte
		for n := from; n < min(from+perGroup, to); n++ {
			form := url.Values{
				"AccountSid": {filledAccount}, "ConferenceSid": {filledSid(n)}, "FriendlyName": {"room " + strconv.Itoa(n)},
				"SequenceNumber": {strconv.Itoa(seq)}, "Timestamp": {signed.Format(time.RFC1123Z)}, "StatusCallbackEvent": {"participant-join"},
				"CallSid": {fmt.Sprintf("CA%032x", seq)}, "Muted": {"false"}, "Hold": {"false"}, "Coaching": {"false"},
				"EndConferenceOnExit": {"false"}, "StartConferenceOnEnter": {"true"},
			}
			data = events.AppendEntry(data, events.Entry{Source: events.SourceCallback, ReceivedAt: at, Form: form.Encode()})
		}
		w.groups = append(w.groups, events.Group{Sequence: uint64(len(w.groups) + 1), Data: data})
	}
}

func filledSid(n int) string { return fmt.Sprintf("CF%032x", n) }

func (w *written) last() uint64 { return uint64(len(w.groups)) }

func (w *written) Read(_ context.Context, _ int, from, to uint64, fn func(events.Group) error) error {
	for _, g := range w.groups[from-1 : to] {
		if err := fn(g); err != nil {
			return err
		}
	}
	return nil
}

// fill fills an empty store of one lane and returns the conferences that readers find.
func (w *written) fill(t *testing.T, keep time.Duration, now time.Time, seen func(*picture)) map[string]*projections.Conference {
	t.Helper()
	store, err := ministore.Open(ministore.NewRedis(), 1, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	f := &filler{
		journal: w, store: store, keep: keep, passed: func() time.Time { return now },
		newMachine: func([]byte) (*lanes.Machine, error) { return lanes.New(nil, nil) },
	}
	var p *picture
	p, err = f.begin(t.Context(), nil, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.read(t.Context(), p, 1, w.last(), func(uint64) { seen(p) }); err != nil {
		t.Fatal(err)
	}
	if err := f.put(t.Context(), p, w.last()); err != nil {
		t.Fatal(err)
	}
	found := map[string]*projections.Conference{}
	for page, after := (projections.Page{More: true}), ""; page.More; {
		if page, err = store.Conferences(t.Context(), filledAccount, projections.Query{Limit: 1000, After: after}); err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Conferences {
			found[c.ConferenceSid], after = c, c.ConferenceSid
		}
	}
	if len(found) != p.conferences {
		t.Errorf("the fill counted %d conferences, readers find %d", p.conferences, len(found))
	}
	return found
}

// A floor has had more conferences than a fill may hold, and each has an entry long after its first
// one. All are in the picture, each as its entries fold to.
func TestAFillHoldsABoundedNumberOfConferences(t *testing.T) {
	t.Parallel()
	const conferences = 3 * fillRecords
	at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	journal, most := new(written), 0
	for seq := range 3 {
		journal.append(0, conferences, seq, at.Add(time.Duration(seq)*time.Minute))
	}
	found := journal.fill(t, 0, at, func(p *picture) { most = max(most, p.held.Len()) })
	if bound := fillRecords + putRecords + events.MaxGroupEntries; most > bound {
		t.Errorf("the fill held up to %d conferences, want at most %d", most, bound)
	}
	for n := range conferences {
		c := found[filledSid(n)]
		if c == nil || len(c.Participants) != 3 || c.Seen.Count() != 3 || c.FriendlyName.Value != "room "+strconv.Itoa(n) {
			t.Fatalf("conference %d is %+v, want one of three legs", n, c)
		}
	}
}

// The door's clock was 40 days ahead for a moment, long ago. A fill read that conferences were old
// then, and dropped them from each later picture.
func TestAFillPassesOverStampsOfAClockThatWasAhead(t *testing.T) {
	t.Parallel()
	const conferences, day = fillRecords + 2*putRecords, 24 * time.Hour
	at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	journal := new(written)
	journal.append(0, conferences, 0, at)
	journal.appendSigned(conferences, conferences+10, 0, at.Add(time.Minute), at.Add(40*day))
	journal.append(0, 10, 1, at.Add(time.Hour))
	for _, passed := range []time.Time{{}, at.Add(2 * time.Hour)} {
		if found := journal.fill(t, 30*day, passed, func(*picture) {}); len(found) != conferences+10 {
			t.Errorf("at %v the picture has %d conferences, not %d", passed, len(found), conferences+10)
		}
	}
}

// The journal of an old floor covers many times what the picture keeps. A fill removes old
// conferences while it reads, so that the store never holds them all.
func TestAFillOfALongJournalKeepsOnlyWhatThePictureKeeps(t *testing.T) {
	t.Parallel()
	const days, perDay, keep = 10, fillRecords, 2 * 24 * time.Hour
	at := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	journal, most := new(written), 0
	for d := range days {
		journal.append(d*perDay, (d+1)*perDay, 0, at.AddDate(0, 0, d))
	}
	journal.append((days-2)*perDay, (days-2)*perDay+10, 1, at.AddDate(0, 0, days-1))
	now := at.AddDate(0, 0, days).Add(-time.Hour)
	found := journal.fill(t, keep, now, func(p *picture) { most = max(most, p.conferences) })
	if len(found) != 2*perDay {
		t.Errorf("readers find %d conferences, want those of the last two days, %d", len(found), 2*perDay)
	}
	if most > 5*perDay {
		t.Errorf("the store held up to %d conferences, want at most five days' %d", most, 5*perDay)
	}
	if c := found[filledSid((days-2)*perDay)]; c == nil || len(c.Participants) != 2 {
		t.Errorf("a conference with an entry a day later is %+v, want both its legs", c)
	}
}

// BenchmarkFill prints the memory that a filled embedded picture needs for each conference of three
// legs, and what a fill needs at its end beside that.
func BenchmarkFill(b *testing.B) {
	const conferences = 20_000
	at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	journal := new(written)
	for from := 0; from < conferences; from += 1000 {
		for seq := range 3 {
			journal.append(from, from+1000, seq, at)
		}
	}
	for b.Loop() {
		empty := liveBytes()
		store, err := ministore.Open(ministore.NewRedis(), 1, slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		f := &filler{
			journal: journal, store: store, passed: func() time.Time { return at },
			newMachine: func([]byte) (*lanes.Machine, error) { return lanes.New(nil, nil) },
		}
		p, err := f.fill(b.Context(), nil, journal.last(), func(uint64) {})
		if err != nil {
			b.Fatal(err)
		}
		atEnd := liveBytes()
		runtime.KeepAlive(p)
		filled := liveBytes()
		b.ReportMetric(float64(filled-empty)/conferences, "store-B/conference")
		b.ReportMetric(float64(atEnd-filled)/conferences, "fill-B/conference")
		store.Close()
	}
}

func liveBytes() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
