package act

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gavel/events"
	"gavel/rules"
)

// Notices is where `publish` steps publish.
type Notices interface {
	// Publish returns nil once the server has the message. The id is in the
	// header Nats-Msg-Id. What can never be published is an *events.FormError
	// of the field subject or data: expressions may have made of the subject
	// what is none, or one that is Gavel's or NATS's own.
	Publish(ctx context.Context, subject, id string, data []byte) error
}

// Publisher performs `publish` steps.
type Publisher struct {
	notices Notices
	now     func() time.Time
}

// NewPublisher returns a publisher. now is our clock.
func NewPublisher(notices Notices, now func() time.Time) *Publisher {
	return &Publisher{notices, now}
}

// Tell publishes a decision: done once the server has the message, failed where
// it can be none. After an error the message goes out again, under the same id.
func (p *Publisher) Tell(ctx context.Context, d rules.Decision) (events.Outcome, error) {
	data, err := newMessage(d, p.now())
	if err != nil {
		return events.Outcome{}, err
	}
	err = p.notices.Publish(ctx, d.Params["subject"], d.ID, data)
	var fault *events.FormError
	switch {
	case errors.As(err, &fault):
		return events.Outcome{Result: events.Failed, Why: fault.Field, At: p.now()}, nil
	case err != nil:
		return events.Outcome{}, fmt.Errorf("publish for rule %s: %w", d.Rule, err)
	}
	return events.Outcome{Result: events.Done, At: p.now()}, nil
}
