package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"

	"gavel/events"
)

const (
	// maxLetterText and maxLetterRaw bound what a letter quotes, so that it
	// fits into a message: a form has 64 KiB, an Event Streams batch 1 MiB
	// which base64 would make 1.4.
	maxLetterText = 128 << 10
	maxLetterRaw  = 512 << 10
	// cutNote is added to the reason of a letter that was cut.
	cutNote = " (what came is cut)"
	// routerClosesWithin bounds the wait for a handler that works on when its
	// router ends.
	routerClosesWithin = 10 * time.Second
)

// DeadLetters keeps what was genuine and could not go on, the last 1,000 of
// each kind and account.
type DeadLetters struct {
	conn      *nats.Conn
	publisher *Publisher
	log       *slog.Logger
}

func newDeadLetters(conn *nats.Conn, log *slog.Logger) *DeadLetters {
	return &DeadLetters{conn: conn, publisher: NewPublisher(conn), log: log}
}

// Put keeps a letter and returns once it is acknowledged. Putting the same
// journal position again within a few minutes keeps one.
func (d *DeadLetters) Put(ctx context.Context, letter events.DeadLetter) error {
	letter = fit(letter)
	payload, err := json.Marshal(letter)
	if err != nil {
		return fmt.Errorf("put dead letter: %w", err)
	}
	m := message.NewMessage(letterID(letter), payload)
	m.SetContext(ctx)
	if err := d.publisher.Publish(deadSubject(&letter), m); err != nil {
		return fmt.Errorf("put dead letter: %w", err)
	}
	return nil
}

// letterID is the place in the journal, where there is one.
func letterID(letter events.DeadLetter) string {
	if letter.Position != "" {
		return letter.Position
	}
	return watermill.NewUUID()
}

// fit cuts a letter that is too long for a message.
func fit(letter events.DeadLetter) events.DeadLetter {
	if len(letter.Form) <= maxLetterText && len(letter.Query) <= maxLetterText && len(letter.Raw) <= maxLetterRaw {
		return letter
	}
	letter.Form = letter.Form[:min(len(letter.Form), maxLetterText)]
	letter.Query = letter.Query[:min(len(letter.Query), maxLetterText)]
	letter.Raw = letter.Raw[:min(len(letter.Raw), maxLetterRaw)]
	letter.Reason += cutNote
	return letter
}

// Watch calls fn with each letter once over all processes that watch, also
// with those put while none did, until ctx ends, which is no error. A letter
// whose fn fails comes again later.
func (d *DeadLetters) Watch(ctx context.Context, fn func(events.DeadLetter) error) error {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: routerClosesWithin}, routerLog{d.log})
	if err != nil {
		return fmt.Errorf("watch dead letters: %w", err)
	}
	router.AddMiddleware(steer)
	router.AddConsumerHandler(deadLettersGroup, deadPrefix+">", NewSubscriber(d.conn, deadLettersStream, deadLettersGroup, d.log),
		func(m *message.Message) error {
			var letter events.DeadLetter
			if err := json.Unmarshal(m.Payload, &letter); err != nil {
				return fmt.Errorf("read dead letter: %w: %w", events.ErrMalformed, err)
			}
			return fn(letter)
		})
	err = router.Run(ctx)
	switch {
	case ctx.Err() != nil:
		return nil
	case err == nil:
		err = nats.ErrConnectionClosed
	}
	return fmt.Errorf("watch dead letters: %w", err)
}
