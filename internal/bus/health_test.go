package bus

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
)

// These tests are inside the package, because a test cannot freeze a real server:
// the probe is a stand-in and time is virtual.

// patient is a health whose probe answers what the test sets.
type patient struct {
	*health
	answers chan error
	stopped atomic.Bool // the server
}

func newPatient(t *testing.T, patience time.Duration, mortal bool) *patient {
	p := &patient{answers: make(chan error, 1)}
	p.answers <- nil
	probe := func(ctx context.Context) error {
		err := <-p.answers
		p.answers <- err
		return err
	}
	p.health = newHealth(patience, mortal, newStore(NewMetrics(nil), slog.New(slog.DiscardHandler)))
	p.gone = p.stopped.Load
	p.start(probe)
	t.Cleanup(func() {
		if err := p.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// set changes the answer and lets that much time pass.
func (p *patient) set(err error, pass time.Duration) {
	<-p.answers
	p.answers <- err
	<-time.After(pass)
	synctest.Wait()
}

var errFrozen = errors.New("write error: input/output error")

func TestFrozenEmbeddedServerIsUnavailableWithinASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t, embeddedPatience, true)
		synctest.Wait()
		during := p.while()
		if p.Healthy() != nil {
			t.Fatalf("at first: %v", p.Healthy())
		}
		p.set(errFrozen, time.Second)
		if err := p.Healthy(); !errors.Is(err, events.ErrUnavailable) || !errors.Is(err, errFrozen) {
			t.Errorf("frozen for a second: %v", err)
		}
		if err := context.Cause(during); !errors.Is(err, events.ErrUnavailable) {
			t.Errorf("work in progress continues: %v", err)
		}
		if len(p.dead) != 0 {
			t.Error("it is reported dead too early")
		}
		p.set(nil, time.Second)
		if p.Healthy() != nil {
			t.Errorf("well again: %v", p.Healthy())
		}
	})
}

// nats-server reports a stream that is just being made as one that could not be recovered.
func TestAFaultThatPassesByItselfIsNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			reports []error
			want    error
		}{
			"healthy": {[]error{nil}, nil},
			"passing": {[]error{errFrozen, nil}, nil},
			"frozen":  {[]error{io.EOF, errFrozen}, errFrozen},
		} {
			began := time.Now()
			err := confirmed(t.Context(), func() error {
				next := c.reports[0]
				c.reports = c.reports[1:]
				return next
			})
			if err != c.want || len(c.reports) > 0 || time.Since(began) > confirmAfter {
				t.Errorf("%s: %v after %s, %d reports are left", name, err, time.Since(began), len(c.reports))
			}
		}
	})
}

func TestServerThatStaysFrozenIsDeadOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t, embeddedPatience, true)
		p.set(errFrozen, 4*time.Second)
		p.set(nil, time.Second) // the count starts again
		p.set(errFrozen, 4*time.Second)
		if len(p.dead) != 0 {
			t.Fatal("dead within five seconds")
		}
		p.set(errFrozen, 10*time.Second)
		if err := <-p.dead; !errors.Is(err, errFrozen) {
			t.Errorf("dead: %v", err)
		}
	})
}

func TestExternalServerGetsTheTimeOfAnElection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t, externalPatience, false)
		p.set(errFrozen, 11*time.Second)
		if p.Healthy() != nil {
			t.Errorf("within an election: %v", p.Healthy())
		}
		p.set(errFrozen, 2*time.Second)
		if !errors.Is(p.Healthy(), events.ErrUnavailable) {
			t.Errorf("beyond an election: %v", p.Healthy())
		}
		p.set(errFrozen, time.Minute)
		if len(p.dead) != 0 {
			t.Error("a new process of ours would not help")
		}
	})
}

func TestDeletedJournalIsCertain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t, externalPatience, false)
		p.set(jetstream.ErrStreamNotFound, time.Second)
		if !errors.Is(p.Healthy(), events.ErrUnavailable) {
			t.Errorf("deleted: %v", p.Healthy())
		}
	})
}

// An fsync that takes seconds makes the server silent. Callbacks wait for it within their budget
// of 12 s; a disk that takes longer hangs, and later callbacks are answered 503 at once.
func TestASilentServerIsSlowUntilItHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t, embeddedPatience, true)
		synctest.Wait()
		for range 20 { // slow, for minutes
			<-p.answers // the probe waits
			<-time.After(8 * time.Second)
			p.answers <- nil
			<-time.After(time.Second)
			synctest.Wait()
			if p.Healthy() != nil {
				t.Fatalf("slow: %v", p.Healthy())
			}
		}
		during := p.while()
		<-p.answers
		<-time.After(14 * time.Second)
		synctest.Wait()
		if !errors.Is(p.Healthy(), errSilent) || context.Cause(during) == nil {
			t.Errorf("silent for 14 s: %v", p.Healthy())
		}
		if len(p.dead) != 0 {
			t.Error("it is reported dead too early")
		}
		p.answers <- nil
		<-time.After(2 * time.Second)
		synctest.Wait()
		if p.Healthy() != nil {
			t.Errorf("well again: %v", p.Healthy())
		}
		<-p.answers
		<-time.After(20 * time.Second)
		synctest.Wait()
		if len(p.dead) != 1 {
			t.Error("silent for 20 s: it is not reported dead")
		}
		p.answers <- nil
	})
}

// On a slow disk the journal's own messages can keep a probe waiting for longer than a callback may.
func TestASilentServerThatStoresGroupsDoesNotHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t, embeddedPatience, true)
		synctest.Wait()
		<-p.answers
		for range 20 {
			<-time.After(5 * time.Second)
			p.stored.Store(time.Now().UnixNano())
			synctest.Wait()
			if p.Healthy() != nil {
				t.Fatalf("storing: %v", p.Healthy())
			}
		}
		<-time.After(14 * time.Second)
		synctest.Wait()
		if p.Healthy() == nil {
			t.Error("silent for 14 s since the last group: healthy")
		}
		p.answers <- nil
	})
}

// A report of JetStream is certain, however long the server was silent before.
func TestAReportEndsThePatienceWithASilentServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t, embeddedPatience, true)
		synctest.Wait()
		<-p.answers
		<-time.After(8 * time.Second)
		p.answers <- errFrozen
		<-time.After(2 * time.Second)
		synctest.Wait()
		if !errors.Is(p.Healthy(), errFrozen) || len(p.dead) != 0 {
			t.Errorf("frozen for 2 s after a silence of 8 s: %v, dead %d", p.Healthy(), len(p.dead))
		}
	})
}

// A new process would have no more storage than this one.
func TestServerWithoutStorageIsUnavailableAndNotDead(t *testing.T) {
	t.Parallel()
	for name, patience := range map[string]time.Duration{"embedded": embeddedPatience, "external": externalPatience} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPatient(t, patience, true)
				synctest.Wait()
				p.set(errNoRoom, time.Second)
				if err := p.Healthy(); !errors.Is(err, events.ErrUnavailable) || !errors.Is(err, errNoRoom) {
					t.Errorf("without storage for a second: %v", err)
				}
				p.set(errNoRoom, time.Minute)
				if len(p.dead) != 0 {
					t.Error("it is reported dead")
				}
				p.set(nil, time.Second)
				if p.Healthy() != nil {
					t.Errorf("with storage again: %v", p.Healthy())
				}
			})
		})
	}
}

// The error of an append counts until a probe disproves it.
func TestAnAppendWithoutStorageMakesTheBusUnhealthy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t, externalPatience, false)
		synctest.Wait()
		during := p.while()
		if err := p.noRoom(errFrozen); !errors.Is(err, events.ErrUnavailable) || !errors.Is(err, errFrozen) {
			t.Errorf("the append ends with %v", err)
		}
		p.set(nil, time.Second)
		if err := p.Healthy(); !errors.Is(err, errNoRoom) || context.Cause(during) == nil {
			t.Errorf("a probe that did not check storage: %v", err)
		}
		if err := p.tryRoom(t.Context(), func(context.Context) error { return nil }); err != nil {
			t.Error(err)
		}
		p.set(nil, time.Second)
		if p.Healthy() != nil {
			t.Errorf("with storage again: %v", p.Healthy())
		}
	})
}

// A probe may be under way when the embedded server stops. It gets no answer, but silence is not the reason.
func TestAProbeThatAStoppedServerLeavesUnansweredIsNoSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t, embeddedPatience, true)
		synctest.Wait()
		<-p.answers // the probe waits
		p.stopped.Store(true)
		<-time.After(4 * time.Second)
		synctest.Wait()
		if !errors.Is(p.Healthy(), errGone) {
			t.Errorf("stopped for 4 s: %v", p.Healthy())
		}
		p.answers <- nil
	})
}
