package brakes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gavel/events"
)

// stopTime is how long the stop may take to read. Whoever wants to act asks
// right before it: longer than this nobody knows whether all was stopped.
const stopTime = 500 * time.Millisecond

// writePause is the pause between two tries to write a stop.
const writePause = 32 * time.Millisecond

// writeTime is how long a stop is tried to be written: the command line goes
// over to the file STOP after 5 s.
const writeTime = 4 * time.Second

// ErrChanged is returned by Resume where the stop was renewed meanwhile.
var ErrChanged = errors.New("the stop was changed by somebody else: look again")

// Stop says that no rule may act at Twilio, or that all may again.
type Stop struct {
	Stopped bool `json:"stopped"`
	// Reason and By may hold names: they are not for logs.
	Reason string    `json:"reason"`
	By     string    `json:"by,omitempty"`
	At     time.Time `json:"at,omitzero"`
}

// Stopped reports whether rules are stopped, and on whose word: the shared
// one's, or that of a file STOP in the data directory. Where nobody answers
// within 500 ms they are, and the error says so.
func (b *Brakes) Stopped(ctx context.Context) (bool, Stop, error) {
	s, err := b.stop(ctx)
	b.metrics.stopped(s.Stopped)
	if err != nil {
		err = fmt.Errorf("read the stop: %w", err)
	}
	return s.Stopped, s, err
}

// stop asks the folder first: its word needs no network.
func (b *Brakes) stop(ctx context.Context) (Stop, error) {
	s, err := readStopFile(b.dir)
	if s.Stopped || err != nil {
		return s, err
	}
	s, err = b.questions.ask(ctx, func(ctx context.Context) (Stop, error) {
		s, _, err := b.sharedStop(ctx)
		return s, err
	})
	if err != nil {
		return Stop{Stopped: true, Reason: "no answer"}, err
	}
	return s, nil
}

// sharedStop reads what the bucket's leader has; nothing is no stop.
func (b *Brakes) sharedStop(ctx context.Context) (s Stop, revision uint64, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stopTime, ErrNoAnswer)
	defer cancel()
	value, revision, err := b.bucket.Read(ctx, stopKey)
	switch {
	case errors.Is(err, events.ErrKeyNotFound):
		return Stop{}, 0, nil
	case err != nil:
		return Stop{}, 0, errors.Join(err, context.Cause(ctx))
	}
	if err := json.Unmarshal(value, &s); err != nil {
		return Stop{}, revision, fmt.Errorf("parse the stop: %w", err)
	}
	return s, revision, nil
}

// Stop keeps all rules in all processes from acting at Twilio. Once it returns
// nil no call begins any more; those on the wire go on.
func (b *Brakes) Stop(ctx context.Context, reason, by string) error {
	if err := checkReason(reason); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	s := Stop{Stopped: true, Reason: reason, By: by, At: b.now().UTC()}
	if err := b.writeStop(ctx, s); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	b.log.Error("rules were stopped: nothing is done at Twilio until somebody resumes")
	return nil
}

// writeStop tries again and again: whoever stops means it, whatever somebody
// else does at that moment, and whatever stands there.
func (b *Brakes) writeStop(ctx context.Context, s Stop) error {
	ctx, cancel := context.WithTimeoutCause(ctx, writeTime, ErrNoAnswer)
	defer cancel()
	for {
		_, err := b.tryStop(ctx, s)
		if err == nil {
			b.metrics.stopped(s.Stopped)
			return nil
		}
		select {
		case <-time.After(writePause):
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// tryStop replaces what stands there, and returns it.
func (b *Brakes) tryStop(ctx context.Context, s Stop) (before Stop, err error) {
	before, revision, err := b.sharedStop(ctx)
	if err != nil && revision == 0 {
		return before, err
	}
	value, err := json.Marshal(s)
	if err != nil {
		return before, err
	}
	_, err = b.bucket.Update(ctx, stopKey, value, revision)
	return before, err
}

// Resume lets rules act again. It fails where a file STOP stops this process
// still, which only those who reach the data directory can take away, and with
// ErrChanged where the stop was renewed in the same moment.
func (b *Brakes) Resume(ctx context.Context, reason, by string) error {
	if err := checkReason(reason); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	if _, err := b.tryStop(ctx, Stop{Reason: reason, By: by, At: b.now().UTC()}); err != nil {
		if errors.Is(err, events.ErrKeyChanged) {
			err = ErrChanged
		}
		return fmt.Errorf("resume: %w", err)
	}
	b.log.Warn("rules were resumed")
	if file, err := readStopFile(b.dir); file.Stopped || err != nil {
		return fmt.Errorf("resume: %w", errors.Join(ErrStopFile, err))
	}
	b.metrics.stopped(false)
	return nil
}
