package brakes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gavel/events"
)

// stopTime bounds one read of the stop. A performer reads the stop right before
// each call to Twilio. After a longer read the result may be out of date.
const stopTime = 500 * time.Millisecond

// writePause is the pause between two tries to save a stop.
const writePause = 32 * time.Millisecond

// writeTime bounds all tries to save a stop. It is shorter than the 5 s after
// which the command line writes the file STOP instead.
const writeTime = 4 * time.Second

// ErrChanged is returned by Resume if another process changed the stop at the
// same time.
var ErrChanged = errors.New("the stop was changed at the same time: read it again, then resume")

// Stop is the state of the stop. While Stopped is set, no rule may act at Twilio.
type Stop struct {
	Stopped bool `json:"stopped"`
	// Reason and By may hold names: they are not for logs.
	Reason string    `json:"reason"`
	By     string    `json:"by,omitempty"`
	At     time.Time `json:"at,omitzero"`
}

// Stopped reports whether rules are stopped, and why: by the shared stop, by a
// file STOP in the data directory, or because of the store (WithStore). If the bucket does not
// answer within 500 ms, rules are stopped and the error wraps ErrNoAnswer. A stop whose value is
// damaged, or that cannot be parsed, stops rules until Resume replaces it.
func (b *Brakes) Stopped(ctx context.Context) (bool, Stop, error) {
	s, err := b.stop(ctx)
	b.metrics.stopped(s.Stopped)
	if err != nil {
		err = fmt.Errorf("read the stop: %w", err)
	}
	return s.Stopped, s, err
}

// stop reads the file STOP first because that needs no network.
func (b *Brakes) stop(ctx context.Context) (Stop, error) {
	s, err := readStopFile(b.dir)
	if s.Stopped || err != nil {
		return s, err
	}
	s, err = b.stopReads.Get(ctx, func(ctx context.Context) (Stop, error) {
		s, _, err := b.sharedStop(ctx)
		return s, err
	})
	if err != nil {
		return Stop{Stopped: true, Reason: "no answer"}, err
	}
	if unfit := b.store(); !s.Stopped && unfit != nil {
		return Stop{Stopped: true, Reason: unfit.Error()}, nil
	}
	return s, nil
}

// damagedStop counts as the stop whose value is lost, because it may have been one.
func damagedStop(why error) Stop {
	return Stop{Stopped: true, Reason: fmt.Sprintf("the stop is damaged (%v): `gavel resume` replaces it", why)}
}

// sharedStop reads the stop from the bucket's leader. Without a stored value, or with one that
// cannot be read, rules are stopped: the bus stores that they are not when it makes the bucket.
func (b *Brakes) sharedStop(ctx context.Context) (s Stop, revision uint64, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stopTime, ErrNoAnswer)
	defer cancel()
	value, revision, err := b.bucket.Read(ctx, stopKey)
	switch {
	case errors.Is(err, events.ErrKeyNotFound), errors.Is(err, events.ErrKeyDamaged):
		return damagedStop(err), revision, nil
	case err != nil:
		return Stop{}, 0, errors.Join(err, context.Cause(ctx))
	}
	if err := json.Unmarshal(value, &s); err != nil {
		return damagedStop(err), revision, nil
	}
	return s, revision, nil
}

// Stop keeps all rules in all processes from acting at Twilio. After it returns
// nil, no call begins; calls in flight continue.
func (b *Brakes) Stop(ctx context.Context, reason, by string) error {
	if err := checkReason(reason); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	s := Stop{Stopped: true, Reason: reason, By: by, At: b.now().UTC()}
	if err := b.writeStop(ctx, s); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	b.log.Error("rules were stopped: they do not act at Twilio until an operator resumes them")
	return nil
}

// writeStop tries to save s until writeTime is over. A stop takes precedence over
// concurrent changes and replaces a value that cannot be parsed.
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

// tryStop replaces the stored stop and returns the previous one.
func (b *Brakes) tryStop(ctx context.Context, s Stop) (before Stop, err error) {
	before, revision, err := b.sharedStop(ctx)
	if err != nil {
		return before, err
	}
	value, err := json.Marshal(s)
	if err != nil {
		return before, err
	}
	_, err = b.bucket.Update(ctx, stopKey, value, revision)
	return before, err
}

// Resume lets rules act again. It fails with ErrStopFile if a file STOP still
// stops this process; only a user with access to the data directory can remove
// that file. It fails with ErrChanged if the stop was changed at the same time. It also replaces a
// damaged stop and a damaged ledger of admissions; the ledger is empty then, without its trips.
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
	if err := b.repairLedger(ctx); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	b.log.Warn("rules were resumed")
	if file, err := readStopFile(b.dir); file.Stopped || err != nil {
		return fmt.Errorf("resume: %w", errors.Join(ErrStopFile, err))
	}
	b.metrics.stopped(false)
	return nil
}

// repairLedger replaces a damaged ledger by an empty one.
func (b *Brakes) repairLedger(ctx context.Context) error {
	_, revision, err := b.bucket.Read(ctx, ledgerKey)
	if !errors.Is(err, events.ErrKeyDamaged) {
		return nil // Admit reports other errors
	}
	if _, err := b.bucket.Update(ctx, ledgerKey, []byte("{}"), revision); err != nil {
		return fmt.Errorf("replace the damaged ledger of admissions: %w", err)
	}
	b.log.Warn("ledger of admissions was damaged and is empty now: trips before this are forgotten")
	return nil
}
