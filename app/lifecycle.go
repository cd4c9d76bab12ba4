package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// drainTime bounds the whole stop, all steps together. Kubernetes kills a
// process 30 s after its SIGTERM; half of that leaves room for a slow disk.
const drainTime = 15 * time.Second

// lifecycle is a list of what must be stopped, the last started first.
type lifecycle struct {
	log   *slog.Logger
	stops []namedStop
}

type namedStop struct {
	name string
	stop func(context.Context) error
}

// onStop registers how a resource is stopped. It is called the moment the
// resource exists, so that a start that fails half-way stops what it started.
func (l *lifecycle) onStop(name string, stop func(context.Context) error) {
	l.stops = append(l.stops, namedStop{name, stop})
}

// stop stops everything, newest first, within drainTime. A step that fails is
// logged by name and does not prevent the next ones; nor does the end of the drain
// time, which every later step sees in its context.
func (l *lifecycle) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), drainTime,
		fmt.Errorf("shutdown timed out after %s", drainTime))
	defer cancel()
	var faults []error
	for i := len(l.stops) - 1; i >= 0; i-- {
		step := l.stops[i]
		began := time.Now()
		if err := step.stop(ctx); err != nil {
			l.log.Error("stop failed", "part", step.name, "error", err)
			faults = append(faults, fmt.Errorf("stop %s: %w", step.name, err))
			continue
		}
		l.log.Debug("stopped", "part", step.name, "took_seconds", time.Since(began).Seconds())
	}
	l.stops = nil
	return errors.Join(faults...)
}
