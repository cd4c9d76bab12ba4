package failover_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"gavel/internal/twilio/twiliofake"
)

// floorRate starts twenty conferences a second, which makes about a hundred callbacks.
const floorRate = 1200

// Two doors behind a proxy that follows their readiness are restarted one after
// the other, under the callbacks of a call floor. Twilio retries once, and only
// if it could not connect: that must be enough.
func TestDoorsAreRestartedUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shape{})
	p := startProxy(t)
	w.gavel("project")
	doors := []*gavel{w.gavel("door", "--public-url", p.url()), w.gavel("door", "--public-url", p.url())}
	for _, door := range doors {
		p.lead(door)
	}
	floor := w.floorCalls(p.url())
	for range rounds {
		for i, door := range doors {
			pass(t, settleTime)
			if code := door.stop(); code != 0 {
				t.Errorf("a door exited with %d", code)
			}
			doors[i] = w.gavel("door", "--public-url", p.url())
			p.lead(doors[i])
		}
	}
	pass(t, settleTime)
	accepted, lost := floor()
	for _, callback := range lost {
		t.Errorf("lost: %s", callback)
	}
	w.converges()
	if facts := len(w.journaled().known); facts != accepted {
		t.Errorf("%d callbacks were accepted, %d facts are in the journal", accepted, facts)
	}
	t.Logf("%d callbacks on %d connections", accepted, p.carried.Load())
}

// floorCalls runs a call floor against a door, with Twilio's default retries. The returned function
// stops it and returns how many callbacks were accepted and which were lost for good.
func (w *world) floorCalls(door string) (hangUp func() (accepted int, lost []string)) {
	w.t.Helper()
	var lost lostCallbacks
	floor := twiliofake.New(twiliofake.Config{
		AccountSid: account,
		AuthToken:  token,
		Status:     twiliofake.Subscription{URL: door + "/twilio/conference"},
		Recording:  twiliofake.Subscription{URL: door + "/twilio/recording"},
		Rate:       floorRate,
		Seed:       7,
		Clock:      twiliofake.WallClock(),
		Logger:     slog.New(&lost),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- floor.Run(ctx) }()
	w.t.Cleanup(cancel)
	return func() (int, []string) {
		w.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			w.t.Fatal(err)
		}
		return int(floor.Accepted()), lost.all()
	}
}

// lostCallbacks is a log handler that keeps what the stand-in logs about callbacks that it gave up.
type lostCallbacks struct {
	mu   sync.Mutex
	lost []string
}

func (l *lostCallbacks) Enabled(context.Context, slog.Level) bool { return true }
func (l *lostCallbacks) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lostCallbacks) WithGroup(string) slog.Handler            { return l }

func (l *lostCallbacks) Handle(_ context.Context, r slog.Record) error {
	said := r.Message
	r.Attrs(func(a slog.Attr) bool { said += " " + a.String(); return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = append(l.lost, said)
	return nil
}

func (l *lostCallbacks) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}
