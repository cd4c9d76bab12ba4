package project_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/events"
	"gavel/handlers/project"
	"gavel/internal/bus"
	"gavel/projections"
	"gavel/projections/ministore"
)

// What is real in these tests: nats-server with its file store, the journal, the lanes, the news,
// the dead letters, and a store. The only doubles are the wrappers of crash_test.go, which stand
// between the projector and those and "kill" it at a chosen step. What may be asserted: what
// GAVEL_EVENTS holds, what the store answers, what is acknowledged. What may not: how many batches
// it took.

const account = "AC00000000000000000000000000000001"

func conferenceSid(n int) string { return fmt.Sprintf("CF%032x", n) }
func callSid(n int) string       { return fmt.Sprintf("CA%032x", n) }

// stack is NATS and a store; it outlives the projectors that work on it.
type stack struct {
	bus   *bus.Bus
	store projections.Store
	wait  time.Duration
}

func newStack(t *testing.T) *stack {
	t.Helper()
	return newStackOf(t, bus.Config{Listen: bus.ListenOff})
}

func newStackOf(t *testing.T, c bus.Config) *stack {
	t.Helper()
	c.DataDir, c.Sync, c.JournalMaxBytes = cmp.Or(c.DataDir, t.TempDir()), bus.SyncInterval, 1<<28
	b, err := bus.Open(t.Context(), c, quiet())
	if err != nil {
		t.Fatalf("open bus: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Errorf("close bus: %v", err)
		}
	})
	s := &stack{bus: b, wait: 2 * time.Minute}
	s.loseStore(t)
	return s
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// config is a projector's with everything real.
func (s *stack) config() project.Config {
	var lanes []project.Lane
	for _, l := range s.bus.Lanes() {
		lanes = append(lanes, l)
	}
	return project.Config{
		Lanes: lanes, Journal: s.bus.Journal(), Store: s.store,
		News: s.bus.News(), DeadLetters: s.bus.DeadLetters(),
		Log: quiet(), Metrics: project.NewMetrics(prometheus.NewRegistry()), Now: time.Now,
	}
}

// run starts a projector and returns how to stop it, which waits for its end.
func run(t *testing.T, c project.Config) (p *project.Projector, stop func()) {
	t.Helper()
	p = project.New(c)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Errorf("projector: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return p, stop
}

// told is one callback of a test.
type told struct {
	conference, seq int
	kind            events.Kind
	call            int
}

// form is the callback in Twilio's encoding, complete for its kind.
func (c told) form() string {
	v := url.Values{
		"AccountSid":     {account},
		"ConferenceSid":  {conferenceSid(c.conference)},
		"FriendlyName":   {"room " + strconv.Itoa(c.conference)},
		"SequenceNumber": {strconv.Itoa(c.seq)},
		"Timestamp":      {time.Date(2026, 11, 22, 9, 0, c.seq, 0, time.UTC).Format(time.RFC1123Z)},
	}
	v.Set("StatusCallbackEvent", string(c.kind))
	if c.call > 0 {
		v.Set("CallSid", callSid(c.call))
		for _, flag := range []string{"Muted", "Hold", "Coaching", "EndConferenceOnExit"} {
			v.Set(flag, "false")
		}
		v.Set("StartConferenceOnEnter", "true")
	}
	if c.kind == events.ConferenceEnd {
		v.Set("ReasonConferenceEnded", projections.EndedByLastLeft)
	}
	return v.Encode()
}

// tell appends the callbacks to the journal, each acknowledged.
func (s *stack) tell(t *testing.T, all ...told) {
	t.Helper()
	for _, c := range all {
		s.append(t, conferenceSid(c.conference), c.form())
	}
}

func (s *stack) append(t *testing.T, conference, form string) {
	t.Helper()
	e := events.Entry{Source: events.SourceCallback, ReceivedAt: time.Now(), Form: form}
	if err := s.bus.Journal().Append(t.Context(), conference, e); err != nil {
		t.Fatalf("append: %v", err)
	}
}

// settled waits until every lane has acknowledged everything in the journal.
func (s *stack) settled(t *testing.T) {
	t.Helper()
	s.until(t, "everything is acknowledged", func() bool {
		for n, lane := range s.bus.Lanes() {
			last, err := s.bus.Journal().Last(t.Context(), n)
			if err != nil {
				return false
			}
			floor, err := lane.Floor(t.Context())
			if err != nil || floor < last {
				return false
			}
		}
		return true
	})
}

// until polls a real condition; no signal reports when another process's state has arrived.
func (s *stack) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(s.wait)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("waited %v in vain until %s", s.wait, what)
		case <-tick.C:
		}
	}
}

// news returns the news of a conference that subscribers received, as "number kind", in order.
func (s *stack) news(t *testing.T, conference int) []string {
	t.Helper()
	var out []string
	key := events.Key{AccountSid: account, ConferenceSid: conferenceSid(conference)}
	err := s.bus.News().Timeline(t.Context(), key, func(n events.StoredNews) error {
		var e struct {
			Data struct{ SequenceNumber, StatusCallbackEvent string }
		}
		if err := json.Unmarshal(n.Data, &e); err != nil {
			return err
		}
		out = append(out, e.Data.SequenceNumber+" "+e.Data.StatusCallbackEvent)
		return nil
	})
	if err != nil {
		t.Fatalf("read the news: %v", err)
	}
	return out
}

// journaled returns the facts that the journal holds for a conference, each
// once, in the order of their first arrival: the news must be the same.
func (s *stack) journaled(t *testing.T, conference int) (facts []string, record *projections.Conference) {
	t.Helper()
	lane := events.Lane(conferenceSid(conference), s.bus.Info().Lanes)
	last, err := s.bus.Journal().Last(t.Context(), lane)
	if err != nil {
		t.Fatal(err)
	}
	err = s.bus.Journal().Read(t.Context(), lane, 1, last, func(g events.Group) error {
		return g.Split(func(_ int, raw events.Entry) error {
			e, err := events.Parse(raw)
			if err != nil || e.ConferenceSid != conferenceSid(conference) || e.Kind == events.Wake {
				return nil
			}
			fact := fmt.Sprintf("%d %s", e.SequenceNumber, e.Kind)
			if !slices.Contains(facts, fact) {
				facts = append(facts, fact)
			}
			record, _, err = projections.Fold(record, &e)
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return facts, record
}

// stored returns a conference as the store answers it.
func (s *stack) stored(t *testing.T, conference int) *projections.Conference {
	t.Helper()
	got, err := s.tryStored(conference)
	if err != nil {
		t.Fatalf("read conference %d: %v", conference, err)
	}
	return got
}

func (s *stack) tryStored(conference int) (*projections.Conference, error) {
	key := events.Key{AccountSid: account, ConferenceSid: conferenceSid(conference)}
	got, err := s.store.Conference(context.Background(), key)
	return got.Conference, err
}

// canonical is a record's canonical JSON.
func canonical(t *testing.T, c *projections.Conference) string {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// agree compares journal, picture, indexes and news of the conferences.
func (s *stack) agree(t *testing.T, conferences ...int) {
	t.Helper()
	for _, n := range conferences {
		facts, record := s.journaled(t, n)
		if got := s.news(t, n); !slices.Equal(got, facts) {
			t.Errorf("conference %d: news\n  %v\nand journal\n  %v", n, got, facts)
		}
		if got, want := canonical(t, s.stored(t, n)), canonical(t, record); got != want {
			t.Errorf("conference %d: picture\n  %s\nand journal\n  %s", n, got, want)
		}
		s.indexed(t, record)
	}
}

// indexed checks that the conference is found under its status and name and under no other status.
func (s *stack) indexed(t *testing.T, record *projections.Conference) {
	t.Helper()
	for _, status := range []string{projections.StatusInit, projections.StatusInProgress, projections.StatusCompleted} {
		name := record.FriendlyName.Value
		page, err := s.store.Conferences(t.Context(), account, projections.Query{Status: status, FriendlyName: &name, Limit: 10})
		if err != nil {
			t.Fatalf("list %s: %v", status, err)
		}
		found := slices.ContainsFunc(page.Conferences, func(c *projections.Conference) bool {
			return c.ConferenceSid == record.ConferenceSid
		})
		if want := record.Status() == status; found != want {
			t.Errorf("%s listed as %s: %v, want %v", record.ConferenceSid, status, found, want)
		}
	}
}

// call is a whole conference: two legs, a start, one who leaves, an end.
func call(n int) []told {
	return []told{
		{n, 0, events.ParticipantJoin, 1},
		{n, 1, events.ParticipantJoin, 2},
		{n, 2, events.ConferenceStart, 0},
		{n, 3, events.ParticipantHold, 2},
		{n, 4, events.ParticipantUnhold, 2},
		{n, 5, events.ParticipantLeave, 2},
		{n, 6, events.ParticipantLeave, 1},
		{n, 7, events.ConferenceEnd, 0},
	}
}

// loseStore puts an empty store in the place of the one before, as a Redis
// that came back without its memory.
func (s *stack) loseStore(t *testing.T) {
	t.Helper()
	store, err := ministore.Open(ministore.NewRedis(), s.bus.Info().Lanes, quiet())
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	s.store = store
	t.Cleanup(func() { store.Close() })
}

func (s *stack) now() time.Time { return time.Now() }

// letterBox is a dead-letter office that tests can read.
type letterBox chan events.DeadLetter

func (b letterBox) Put(_ context.Context, l events.DeadLetter) error {
	b <- l
	return nil
}
