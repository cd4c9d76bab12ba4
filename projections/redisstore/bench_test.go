package redisstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"gavel/events"
	"gavel/internal/redistest"
	"gavel/projections"
)

const (
	benchConferences = 5000
	benchBatch       = 500
	benchEvents      = 10 // of one conference
)

// BenchmarkSave writes one event after the other, in batches of 500, and compares the cost with a
// plain program that writes as many: HSET of the conference, HSET of the participant, ZADD of an
// index, pipelined. Both alternate on one server; "ratio" is the plain writer's time divided by
// ours, so 1 is as fast as plain.
func BenchmarkSave(b *testing.B) {
	server := redistest.Start(b)
	ours, plain := newSaver(b, server), newPlainWriter(b, server)
	var oursCost, plainCost cost
	for n := 0; b.Loop(); n++ {
		batch := ours.batch(n)
		oursCost.add(server, func() { ours.save(batch) })
		plainCost.add(server, func() { plain.save(batch) })
	}
	events := float64(b.N * benchBatch)
	b.ReportMetric(float64(plainCost.took)/float64(oursCost.took), "ratio")
	b.ReportMetric(float64(oursCost.took.Nanoseconds())/events, "ns/event")
	b.ReportMetric(float64(oursCost.server.Nanoseconds())/events, "redis-ns/event")
	b.ReportMetric(float64(plainCost.took.Nanoseconds())/events, "plain-ns/event")
	b.ReportMetric(float64(plainCost.server.Nanoseconds())/events, "plain-redis-ns/event")
}

// cost is the elapsed time and the server's processor time.
type cost struct{ took, server time.Duration }

func (c *cost) add(server *redistest.Server, fn func()) {
	before, started := server.CPU(), time.Now()
	fn()
	c.took += time.Since(started)
	c.server += server.CPU() - before
}

// saver writes through the store as the projector does.
type saver struct {
	tb    testing.TB
	store projections.Store
	known []projections.Stored
}

func newSaver(tb testing.TB, server *redistest.Server) *saver {
	s := &saver{tb: tb, store: open(tb, server.UnixURL(), 1), known: make([]projections.Stored, benchConferences)}
	build, err := s.store.Build(tb.Context(), 0)
	if err == nil {
		err = build.Commit(tb.Context(), events.Position{Sequence: 1}, nil)
	}
	if err == nil {
		err = s.store.Check(tb.Context(), 0, 0)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// batch returns the next event of each of 500 conferences. After ten events a
// conference has ended and another replaces it.
func (s *saver) batch(n int) []projections.Write {
	writes := make([]projections.Write, benchBatch)
	for i := range writes {
		place := (n*benchBatch + i) % benchConferences
		before := s.known[place]
		if before.Book.Version == benchEvents {
			before = projections.Stored{}
		}
		at := events.Position{Sequence: uint64(n) + 2, Index: i}
		after := projections.Stored{
			Conference: next(before.Conference, n, place, int64(before.Book.Version)),
			Book: projections.Book{
				Version: before.Book.Version + 1, Applied: at,
				Doubtful: []projections.Doubt{{ID: fmt.Sprintf("%032x", n*benchBatch+i), At: at}},
			},
		}
		s.known[place] = after
		writes[i] = projections.Write{
			Before: before.Conference, After: after.Conference,
			Expect: before.Book.Version, Book: after.Book,
		}
	}
	return writes
}

// next returns a conference after its next event: it starts, ends, or one of
// its three legs changes.
func next(before *projections.Conference, n, place int, seq int64) *projections.Conference {
	at := projections.Instant(1772452800 + place)
	after := &projections.Conference{
		AccountSid:    fmt.Sprintf("AC%032x", 1),
		ConferenceSid: fmt.Sprintf("CF%016x%016x", n, place),
		FriendlyName:  projections.Stated[string]{Seq: 1, Value: fmt.Sprintf("room-%d", place%100)},
		Created:       at,
	}
	if before != nil {
		*after = *before
	}
	after.Updated = at + projections.Instant(seq)
	after.Seen = projections.Ranges{{0, seq}}
	switch seq {
	case 2:
		after.Start = &projections.Moment{Seq: seq, At: after.Updated}
	case benchEvents - 1:
		after.End = &projections.Ending{
			Moment: projections.Moment{Seq: seq, At: after.Updated}, Reason: "last-participant-left",
		}
	default:
		after.Participants = withLeg(after.Participants, place, seq, after.Updated)
	}
	return after
}

// withLeg returns the legs after an event of one of them.
func withLeg(legs []*projections.Participant, place int, seq int64, at projections.Instant) []*projections.Participant {
	which := min(int(seq)%3, len(legs))
	p := &projections.Participant{
		CallSid: fmt.Sprintf("CA%016x%016x", which, place), Created: at, Updated: at,
		Flags:   projections.Stated[projections.Flags]{Seq: seq, Value: projections.Flags{StartConferenceOnEnter: true}},
		Present: []projections.Turn{{Seq: seq, At: at, On: true}},
		Last:    projections.Turn{Seq: seq, At: at, On: true},
	}
	legs = slices.Clone(legs)
	if which == len(legs) {
		return append(legs, p)
	}
	legs[which] = p
	return legs
}

func (s *saver) save(writes []projections.Write) {
	ctx := context.Background()
	if err := s.store.Save(ctx, 0, writes); err != nil {
		s.tb.Fatal(err)
	}
	if err := s.store.NoteApplied(ctx, 0, writes[len(writes)-1].Book.Applied, nil, ""); err != nil {
		s.tb.Fatal(err)
	}
}

// plainWriter compares nothing, keeps no bookkeeping, and stores single fields instead of a record.
type plainWriter struct {
	tb     testing.TB
	client *redis.Client
}

func newPlainWriter(tb testing.TB, server *redistest.Server) plainWriter {
	client := redis.NewClient(&redis.Options{Addr: server.Socket()})
	tb.Cleanup(func() {
		if err := client.Close(); err != nil {
			tb.Error(err)
		}
	})
	return plainWriter{tb, client}
}

func (p plainWriter) save(writes []projections.Write) {
	ctx := context.Background()
	pipe := p.client.Pipeline()
	for _, w := range writes {
		c := w.After
		pipe.HSet(ctx, "plain:"+c.ConferenceSid,
			"friendly_name", c.FriendlyName.Value, "status", c.Status(),
			"updated", int64(c.Updated), "version", strconv.FormatUint(w.Book.Version, 10))
		leg := "CA"
		if len(c.Participants) > 0 {
			leg = c.Participants[len(c.Participants)-1].CallSid
		}
		flags, err := json.Marshal(map[string]bool{"muted": false, "hold": false})
		if err != nil {
			p.tb.Fatal(err)
		}
		pipe.HSet(ctx, "plain:"+c.ConferenceSid+":participants", leg, flags)
		pipe.ZAdd(ctx, "plain:all", redis.Z{Score: float64(c.Created), Member: c.ConferenceSid})
	}
	if _, err := pipe.Exec(ctx); err != nil {
		p.tb.Fatal(err)
	}
}
