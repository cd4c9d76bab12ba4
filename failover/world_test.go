package failover_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gavel/events"
	"gavel/internal/bus"
	"gavel/internal/redistest"
	"gavel/projections"
	"gavel/projections/redisstore"
)

// world is what all processes of a story share, and what the test can observe
// from outside: NATS, Redis, and the answers.
type world struct {
	t        *testing.T
	nats     []*natsServer
	redis    string
	embedded bool // NATS and Redis run inside the process
	binary   func(t *testing.T) string
	dataDir  string // shared by all processes; empty if each has its own
	settings string // path of gavel.yaml
	lanes    int
	rooms    []string
	started  int // processes
	answers  []answer
	bus      *bus.Bus // the test's own
}

// shape is the size of a world; zero fields mean one NATS server, one Redis, eight lanes.
type shape struct {
	servers int
	lanes   int
	redis   string
}

func newWorld(t *testing.T, s shape) *world {
	t.Helper()
	s.servers, s.lanes = cmp.Or(s.servers, 1), cmp.Or(s.lanes, 8)
	w := &world{t: t, binary: gavelBinary, lanes: s.lanes, redis: s.redis, rooms: roomsOf(s.lanes, t.Name())}
	if w.redis == "" {
		w.redis = redistest.Start(t).URL()
	}
	w.nats = startNATS(t, s.servers)
	w.settings = filepath.Join(t.TempDir(), "gavel.yaml")
	text := fmt.Sprintf("nats: {replicas: %d, lanes: %d, sync: always}\n", s.servers, s.lanes)
	if err := os.WriteFile(w.settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.openBus(s)
	return w
}

// openBus opens the test's own connection to NATS, which makes the streams
// before any process starts.
func (w *world) openBus(s shape) {
	w.t.Helper()
	config := bus.Config{URL: urls(w.nats), Sync: bus.SyncAlways, Lanes: s.lanes, Replicas: s.servers}
	if w.embedded {
		config.DataDir = w.dataDir
	}
	b, err := bus.Open(w.t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	w.bus = b
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = b.Close(ctx) // its servers may be gone
	})
}

// closeBus closes the bus before another process opens the same data directory.
func (w *world) closeBus() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if err := w.bus.Close(ctx); err != nil {
		w.t.Fatal(err)
	}
}

// journalEnd returns the stream sequence of the journal's newest message.
func (w *world) journalEnd() uint64 {
	w.t.Helper()
	var end uint64
	eventually(w.t, func() string {
		u, err := w.bus.Journal().Usage(w.t.Context())
		if err != nil {
			return err.Error()
		}
		end = u.Last
		return ""
	})
	return end
}

// firsts waits for news of entries journaled after a stream sequence, and
// records how long lanes are silent.
type firsts struct {
	mu     sync.Mutex
	after  uint64
	when   map[int]time.Time // by lane
	last   map[int]time.Time // by lane
	silent time.Duration     // the longest
}

// watchNews subscribes to all news.
func (w *world) watchNews() *firsts {
	w.t.Helper()
	f := &firsts{after: 1 << 62, when: map[int]time.Time{}, last: map[int]time.Time{}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := w.bus.News().Tail(ctx, 0, "", "", func(published events.StoredNews) error { f.record(published); return nil })
		if ctx.Err() == nil {
			w.t.Errorf("the tail of the news ended: %v", err)
		}
	}()
	w.t.Cleanup(func() { cancel(); <-ended })
	return f
}

func (f *firsts) record(published events.StoredNews) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if _, before := f.when[published.Lane]; !before && published.Position.Sequence > f.after {
		f.when[published.Lane] = now
	}
	if last, before := f.last[published.Lane]; before {
		f.silent = max(f.silent, now.Sub(last))
	}
	f.last[published.Lane] = now
}

// forget restarts the record after a stream sequence of the journal.
func (f *firsts) forget(after uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after, f.when, f.silent = after, map[int]time.Time{}, 0
}

// longest returns the longest time between two news of one lane since forget.
func (f *firsts) longest() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.silent
}

// firstNews returns when each lane first published since forget.
func (f *firsts) firstNews() map[int]time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.when)
}

// facts is the content of the journal: the folded records, and the ids of each
// conference's facts in order.
type facts struct {
	records map[events.Key]*projections.Conference
	ids     map[events.Key][]string
	known   map[string]bool
}

// journaled folds the whole journal, independently of the projector.
func (w *world) journaled() facts {
	w.t.Helper()
	f := facts{map[events.Key]*projections.Conference{}, map[events.Key][]string{}, map[string]bool{}}
	for lane := range w.lanes {
		err := w.bus.Journal().Read(w.t.Context(), lane, 1, 1<<62, func(g events.Group) error { return g.Split(f.fold) })
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return f
}

func (f facts) fold(_ int, entry events.Entry) error {
	e, err := events.ParseStored(entry)
	if err != nil {
		return err
	}
	key := e.Key()
	if key.ConferenceSid == "" {
		return nil // about a lane, a count, or a room of which only the name is known
	}
	if e.Kind == events.Exempted { // news that is evaluated and not folded
		f.known[e.ID], f.ids[key] = true, append(f.ids[key], e.ID)
		return nil
	}
	after, fresh, err := projections.Fold(f.records[key], &e)
	if err != nil || !fresh {
		return err
	}
	f.records[key], f.known[e.ID] = after, true
	f.ids[key] = append(f.ids[key], e.ID)
	return nil
}

// endings returns the results in the journal, by decision.
func (w *world) endings() map[string]map[string]bool {
	w.t.Helper()
	all := map[string]map[string]bool{}
	w.journal(events.ActionOutcome, func(_ int, _ events.Position, e *events.Event) error {
		a, err := e.Action()
		if err != nil {
			return err
		}
		o, err := e.Outcome()
		if all[a.ID] == nil {
			all[a.ID] = map[string]bool{}
		}
		all[a.ID][string(o.Result)] = true
		return err
	})
	return all
}

// journal passes each entry of a kind to show, lane by lane; an empty kind means all kinds.
func (w *world) journal(kind events.Kind, show func(lane int, at events.Position, e *events.Event) error) {
	w.t.Helper()
	for lane := range w.lanes {
		err := w.bus.Journal().Read(w.t.Context(), lane, 1, 1<<62, func(g events.Group) error {
			return g.Split(func(index int, entry events.Entry) error {
				e, err := events.ParseStored(entry)
				if err != nil || kind != "" && e.Kind != kind {
					return err
				}
				return show(lane, events.Position{Sequence: g.Sequence, Index: index}, &e)
			})
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// converges checks, once all load has stopped, that nothing accepted was lost, that every fact was
// published once and in order, and that the picture equals the journal's fold. Role act may still
// add a fact, because it fetches a conference seconds after its end.
func (w *world) converges() {
	w.t.Helper()
	f := w.journaled()
	accepted := 0
	for _, a := range w.answers {
		if !a.accepted() {
			continue
		}
		accepted++
		e, err := events.Parse(events.Entry{Source: events.SourceCallback, ReceivedAt: a.sent, Form: a.form})
		if err != nil {
			w.t.Fatal(err)
		}
		if !f.known[e.ID] {
			w.t.Errorf("accepted but not in the journal: %s %s %d", e.Kind, e.ConferenceSid, e.SequenceNumber)
		}
	}
	for key, ids := range f.ids {
		w.published(key, ids)
	}
	w.hasPicture(f.records)
	w.t.Logf("of %d callbacks %d were accepted, %d facts are in the journal", len(w.answers), accepted, len(f.known))
}

// published waits until all facts of a conference are published, and requires
// them to be exactly those of the journal, each once and in order.
func (w *world) published(key events.Key, want []string) {
	w.t.Helper()
	var published []string
	eventually(w.t, func() string {
		published = published[:0]
		err := w.bus.News().Timeline(w.t.Context(), key, func(n events.StoredNews) error {
			published = append(published, n.ID)
			return nil
		})
		if err != nil || len(published) < len(want) {
			return fmt.Sprintf("conference %s: %d of %d facts were published (%v)", key.ConferenceSid, len(published), len(want), err)
		}
		return ""
	})
	if len(published) > len(want) {
		want = w.journaled().ids[key]
	}
	for i := range published {
		if i >= len(want) || published[i] != want[i] {
			w.t.Errorf("conference %s: news %d of %d is not fact %d of %d in the journal", key.ConferenceSid, i, len(published), i, len(want))
			return
		}
	}
}

// pictureEvery is the interval between comparisons of a record, which read the whole journal.
const pictureEvery = 100 * time.Millisecond

// hasPicture requires Redis to hold exactly these records, or newer ones of the journal.
func (w *world) hasPicture(want map[events.Key]*projections.Conference) {
	w.t.Helper()
	store, err := redisstore.Open(w.t.Context(), redisstore.Options{URL: w.redis, Lanes: w.lanes, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	defer store.Close()
	for key, record := range want {
		withinChecking(w.t, patience, pictureEvery, func() string {
			got, err := store.Conference(w.t.Context(), key)
			switch {
			case errors.Is(err, projections.ErrNotFound):
				return fmt.Sprintf("conference %s is not in the picture", key.ConferenceSid)
			case err != nil:
				return fmt.Sprintf("conference %s: %v", key.ConferenceSid, err)
			case !projections.Equal(got.Conference, record):
				record = w.journaled().records[key]
				return fmt.Sprintf("conference %s differs from the fold of the journal", key.ConferenceSid)
			}
			return ""
		})
	}
}
