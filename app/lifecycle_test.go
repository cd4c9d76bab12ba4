package app

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStopsRunNewestFirst(t *testing.T) {
	t.Parallel()
	var stopped []string
	l := lifecycle{log: slog.New(slog.DiscardHandler)}
	for _, name := range []string{"bus", "store", "projector"} {
		l.onStop(name, func(context.Context) error { stopped = append(stopped, name); return nil })
	}
	if err := l.stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"projector", "store", "bus"}, stopped); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if err := l.stop(t.Context()); err != nil || len(stopped) != 3 {
		t.Error("a second stop stops again")
	}
}

func TestAPartThatFailsToStopIsNamedAndTheOthersStop(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	l := lifecycle{log: slog.New(slog.NewTextHandler(&log, nil))}
	broken := errors.New("broken pipe")
	busStopped := false
	l.onStop("bus", func(context.Context) error { busStopped = true; return nil })
	l.onStop("store", func(context.Context) error { return broken })
	err := l.stop(t.Context())
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "stop store") {
		t.Errorf("error = %v, want the store's by name", err)
	}
	if !busStopped {
		t.Error("the bus was not stopped")
	}
	if !strings.Contains(log.String(), "part=store") {
		t.Errorf("log = %s, want the store named", log.String())
	}
}

func TestAllStopsTogetherHaveOneDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := lifecycle{log: slog.New(slog.DiscardHandler)}
		var bus error
		l.onStop("bus", func(ctx context.Context) error { bus = ctx.Err(); return nil })
		for _, name := range []string{"one", "two"} {
			l.onStop(name, func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) })
		}
		// That the context of the process is over is why it stops; it does not shorten the stop.
		over, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		err := l.stop(over)
		if took := time.Since(began); took != drainTime {
			t.Errorf("took %s, want %s", took, drainTime)
		}
		if err == nil || !strings.Contains(err.Error(), "stop two: shutdown timed out after 15s") {
			t.Errorf("error = %v, want why step two gave up", err)
		}
		if bus == nil {
			t.Error("the last step ran before the deadline")
		}
	})
}
