package bus

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus/jet"
	"gavel/internal/chain"
)

// State returns the numbers of the stream of decisions.
func (a *Actions) State(ctx context.Context) (chain.Journal, error) {
	return numbersOf(ctx, a.read, actionsStream)
}

// Damage is what the stream of decisions has lost, although it never removes a message from its middle.
type Damage struct {
	// Missing is the number of messages that it does not deliver.
	Missing int
	// Unreadable are decisions, by Key and ID, that NATS counts and cannot read. They cannot be stored
	// again, because NATS refuses a second message for their subjects.
	Unreadable []events.Decided
}

// examined bounds the messages that Examine reads, because a start waits for it.
const examined = 10_000

// Examine looks for damage in what was stored since a time, at most in the newest messages. Each message
// has the next sequence, so a hole is damage.
func (a *Actions) Examine(ctx context.Context, since time.Time) (d Damage, err error) {
	info, err := a.stream.Info(ctx)
	if err != nil {
		return d, fmt.Errorf("examine the decisions: %w", err)
	}
	state := info.State
	if state.Msgs == 0 || !state.LastTime.After(since) {
		return d, nil
	}
	next := max(state.FirstSeq, state.LastSeq-min(state.LastSeq, examined))
	to, err := jet.LastOf(ctx, a.read, actionsStream, ">")
	if err != nil {
		return d, err
	}
	err = jet.Replay(ctx, a.read, jet.Span{Stream: actionsStream, Subject: ">", From: next, To: to}, func(_ jetstream.Msg, at *jetstream.MsgMetadata) error {
		if at.Timestamp.After(since) {
			d.Missing += int(at.Sequence.Stream - next)
		}
		next = at.Sequence.Stream + 1
		return nil
	})
	if err != nil {
		return d, fmt.Errorf("examine the decisions: %w", err)
	}
	if d.Missing += int(max(state.LastSeq+1, next) - next); d.Missing > 0 {
		d.Unreadable, err = a.unreadable(ctx)
	}
	return d, err
}

// unreadable reads the message of each subject. It takes a request for each.
func (a *Actions) unreadable(ctx context.Context) (all []events.Decided, err error) {
	info, err := a.stream.Info(ctx, jetstream.WithSubjectFilter(actionsPrefix+">"))
	if err != nil {
		return nil, fmt.Errorf("examine the decisions: %w", err)
	}
	for subject := range info.State.Subjects {
		m, err := jet.LastMessage(ctx, a.stream, subject)
		if err != nil {
			return nil, fmt.Errorf("examine the decisions: %w", err)
		}
		if key, id, ok := splitIDSubject(actionsPrefix, subject); ok && m == nil {
			all = append(all, events.Decided{Key: key, ID: id})
		}
	}
	slices.SortFunc(all, func(a, b events.Decided) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}
