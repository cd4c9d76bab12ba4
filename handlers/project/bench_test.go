package project_test

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/events"
	"gavel/handlers/project"
	"gavel/internal/redistest"
	"gavel/projections/redisstore"
)

// BenchmarkProject is the projector on a real Redis, with a lane in memory and
// news that goes nowhere. cpu-ns/op is this process's time on all cores for one
// callback, redis-ns/op that of Redis.
func BenchmarkProject(b *testing.B) {
	for name, news := range map[string]project.News{"silent": nil, "news": noNews{}} {
		b.Run(name, func(b *testing.B) {
			server := redistest.Start(b)
			store, err := redisstore.Open(b.Context(), redisstore.Options{URL: server.URL(), Lanes: 1, Log: quiet()})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { store.Close() })
			lane := newMemoryLane(b.N)
			p := project.New(project.Config{
				Lanes: []project.Lane{lane}, Store: store, News: news, Log: quiet(),
				Metrics: project.NewMetrics(prometheus.NewRegistry()), Now: time.Now,
			})
			ctx, stop := context.WithCancel(b.Context())
			defer stop()
			b.ReportAllocs()
			b.ResetTimer()
			began, redisBegan := cpuTime(b), server.CPU()
			go func() { _ = p.Run(ctx) }()
			<-lane.done
			b.ReportMetric(float64(cpuTime(b)-began)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(server.CPU()-redisBegan)/float64(b.N), "redis-ns/op")
		})
	}
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// memoryLane is a lane with callbacks of 1,000 calls that go on at the same time,
// ten in each group.
type memoryLane struct {
	groups []events.Group
	next   int
	done   chan struct{}
}

func newMemoryLane(callbacks int) *memoryLane {
	const group, calls = 10, 1000
	l := &memoryLane{done: make(chan struct{})}
	at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	for n := 0; n < callbacks; n += group {
		var data []byte
		for i := n; i < min(n+group, callbacks); i++ {
			turn := i / calls
			data = events.AppendEntry(data, events.Entry{
				Source: events.SourceCallback, ReceivedAt: at,
				Form: benchForm(i%calls+turn/50*calls, turn%50, at.Add(time.Duration(turn)*time.Second)),
			})
		}
		l.groups = append(l.groups, events.Group{Sequence: uint64(len(l.groups) + 1), Data: data})
	}
	return l
}

// benchForm is one callback about one of four legs, with all parameters that a
// TaskRouter conference has.
func benchForm(conference, seq int, at time.Time) string {
	leg := conference*4 + seq%4
	kinds := []events.Kind{events.ParticipantMute, events.ParticipantUnmute, events.ParticipantHold, events.ParticipantUnhold, events.ParticipantModify}
	kind := kinds[seq/4%len(kinds)]
	switch {
	case seq < 4:
		kind = events.ParticipantJoin
	case seq == 4:
		kind = events.ConferenceStart
	case seq >= 46:
		kind = events.ParticipantLeave
	}
	p := events.Params{
		{Name: "AccountSid", Value: account}, {Name: "ConferenceSid", Value: conferenceSid(conference)},
		{Name: "FriendlyName", Value: "Support queue 7 (billing, English), ticket " + strconv.Itoa(conference)},
		{Name: "SequenceNumber", Value: strconv.Itoa(seq)}, {Name: "Timestamp", Value: at.Format(time.RFC1123Z)},
		{Name: "StatusCallbackEvent", Value: string(kind)}, {Name: "CallSid", Value: callSid(leg)},
		{Name: "ParticipantLabel", Value: fmt.Sprintf("agent|WK%032x|seat 4", leg)},
		{Name: "Muted", Value: strconv.FormatBool(kind == events.ParticipantMute)},
		{Name: "Hold", Value: strconv.FormatBool(kind == events.ParticipantHold)},
		{Name: "Coaching", Value: "false"}, {Name: "EndConferenceOnExit", Value: "false"}, {Name: "StartConferenceOnEnter", Value: "true"},
		{Name: "CustomerCallSid", Value: callSid(leg)}, {Name: "TaskSid", Value: fmt.Sprintf("WT%032x", conference)},
		{Name: "EndConferenceOnCustomerExit", Value: "true"},
	}
	return p.Encode()
}

func (l *memoryLane) Number() int                                          { return 0 }
func (l *memoryLane) Elsewhere() bool                                      { return false }
func (l *memoryLane) Resume(context.Context) (floor, last uint64, _ error) { return 0, 0, nil }

func (l *memoryLane) Next(ctx context.Context, most int) ([]events.Group, error) {
	if l.next == len(l.groups) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	from := l.next
	l.next = min(l.next+most, len(l.groups))
	return l.groups[from:l.next], nil
}

func (l *memoryLane) Ack(_ context.Context, groups []events.Group) error {
	if groups[len(groups)-1].Sequence == uint64(len(l.groups)) {
		close(l.done)
	}
	return nil
}

// noNews publishes nothing, at once.
type noNews struct{}

func (noNews) Publish(context.Context, []events.News) error { return nil }
func (noNews) LastPositions(context.Context, []events.Key) (map[events.Key]events.Position, error) {
	return nil, nil
}

// Rewind is never needed.
func (l *memoryLane) Rewind(context.Context, uint64) error { return nil }
