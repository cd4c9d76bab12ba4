package bus

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus/jet"
)

const (
	// maxLetterText and maxLetterRaw bound what a letter quotes, so that it
	// fits into a message: a form has 64 KiB, an Event Streams batch 1 MiB
	// which base64 would make 1.4.
	maxLetterText = 128 << 10
	maxLetterRaw  = 512 << 10
	// cutNote is added to the reason of a letter that was cut.
	cutNote = " (what came is cut)"
)

// DeadLetters keeps what was genuine and could not go on, the last 1,000 of
// each kind and account.
type DeadLetters struct {
	conn      *nats.Conn
	stream    jetstream.Stream
	read      jetstream.JetStream // of old letters
	publisher *jet.Publisher
	log       *slog.Logger
}

func newDeadLetters(conn *nats.Conn, stream jetstream.Stream, read jetstream.JetStream, log *slog.Logger) *DeadLetters {
	return &DeadLetters{conn: conn, stream: stream, read: read, publisher: jet.NewPublisher(conn), log: log}
}

// Put keeps a letter and returns once it is acknowledged. Putting the same
// journal position, or decision, again within a few minutes keeps one.
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

// letterID is the place in the journal, where there is one, or the decision.
func letterID(letter events.DeadLetter) string {
	return cmp.Or(letter.Position, letter.Decision, watermill.NewUUID())
}

func decodeLetter(data []byte) (letter events.DeadLetter, err error) {
	if err = json.Unmarshal(data, &letter); err != nil {
		err = fmt.Errorf("read dead letter: %w: %w", events.ErrMalformed, err)
	}
	return letter, err
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
	letters := jet.NewSubscriber(d.conn, deadLettersStream, deadLettersGroup, d.log)
	err := letters.Route(ctx, deadPrefix+">", func(m *message.Message) error {
		letter, err := decodeLetter(m.Payload)
		if err != nil {
			return err
		}
		return fn(letter)
	})
	if err != nil {
		return fmt.Errorf("watch dead letters: %w", err)
	}
	return nil
}

// ErrNoLetter means that there is no dead letter of that id, or not any more.
var ErrNoLetter = errors.New("there is no such dead letter")

// Letter is a dead letter as it lies in its stream.
type Letter struct {
	// ID is its sequence in the stream.
	ID uint64
	events.DeadLetter
	// At is when it was put, by NATS's clock.
	At time.Time
}

// List returns the newest letters, newest first, at most `most`. What cannot be
// read is left out.
func (d *DeadLetters) List(ctx context.Context, most int) ([]Letter, error) {
	var list []Letter
	err := jet.Newest(ctx, d.read, deadLettersStream, deadPrefix+">", most, func(m jetstream.Msg, at *jetstream.MsgMetadata) {
		if letter, err := decodeLetter(m.Data()); err == nil {
			list = append(list, Letter{ID: at.Sequence.Stream, DeadLetter: letter, At: at.Timestamp.UTC()})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	return list, nil
}

// Get returns a letter, or ErrNoLetter.
func (d *DeadLetters) Get(ctx context.Context, id uint64) (Letter, error) {
	m, err := d.stream.GetMsg(ctx, id)
	if id == 0 || errors.Is(err, jetstream.ErrMsgNotFound) {
		err = ErrNoLetter
	}
	if err != nil {
		return Letter{}, fmt.Errorf("get dead letter %d: %w", id, err)
	}
	letter, err := decodeLetter(m.Data)
	if err != nil {
		return Letter{}, fmt.Errorf("get dead letter %d: %w", id, err)
	}
	return Letter{ID: id, DeadLetter: letter, At: m.Time.UTC()}, nil
}
