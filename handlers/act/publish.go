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
	// Publish returns nil once the server has stored the message. The id is in
	// the header Nats-Msg-Id. The error is an *events.FormError of the field
	// subject or data if the message can never be published: expressions may
	// have made an invalid subject, or one that belongs to Gavel or NATS.
	Publish(ctx context.Context, subject, id string, data []byte) error
}

// Publisher performs `publish` steps.
type Publisher struct {
	notices Notices
	now     func() time.Time
}

// NewPublisher returns a publisher. now is our clock.
func NewPublisher(notices Notices, now func() time.Time) *Publisher { return &Publisher{notices, now} }

// Notify publishes a decision. The outcome is done once the server has stored the
// message, and failed if the message is invalid. After an error the message is
// published again, under the same id.
func (p *Publisher) Notify(ctx context.Context, d rules.Decision) (events.Outcome, error) {
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
