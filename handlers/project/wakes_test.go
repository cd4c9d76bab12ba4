package project_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gavel/events"
	"gavel/handlers/project"
)

// rings are alarms that are due at once.
type rings []events.Key

func (r rings) Alarms(ctx context.Context, fn func(context.Context, []events.Key) error) error {
	return fn(ctx, r)
}

// wakes counts entries.
type wakes struct{ appended atomic.Int64 }

func (w *wakes) Append(context.Context, string, events.Entry) error { w.appended.Add(1); return nil }

// NATS rings by the clock of its machine, which is often the one in doubt: all alarms ring at once.
func TestAlarmsWaitWhileTheClockIsInDoubt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var doubt atomic.Pointer[error]
		ahead, journal := errors.New("40 days ahead"), new(wakes)
		doubt.Store(&ahead)
		w := project.Wakes{
			Timers: rings{{AccountSid: account, ConferenceSid: conferenceSid(1)}}, Journal: journal, Now: time.Now,
			Doubt: func() error {
				if err := doubt.Load(); err != nil {
					return *err
				}
				return nil
			},
		}
		ended := make(chan error, 1)
		go func() { ended <- w.Run(t.Context()) }()
		time.Sleep(time.Hour) // virtual
		if n := journal.appended.Load(); n != 0 {
			t.Errorf("%d conferences were woken", n)
		}
		doubt.Store(nil)
		if err := <-ended; err != nil || journal.appended.Load() != 1 {
			t.Errorf("after the doubt %d were woken, %v", journal.appended.Load(), err)
		}
		doubt.Store(&ahead)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { ended <- w.Run(ctx) }()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the end of the process: %v", err)
		}
	})
}
