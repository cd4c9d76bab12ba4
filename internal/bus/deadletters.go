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
	// maxLetterText and maxLetterRaw bound the quotes of a letter, so that it fits into a message:
	// a form has 64 KiB, an Event Streams batch 1 MiB, in base64 1.4 MiB.
	maxLetterText = 128 << 10
	maxLetterRaw  = 512 << 10
	// cutNote is appended to the reason of a truncated letter.
	cutNote = " (what came is cut)"
)

// DeadLetters stores genuine messages that could not be processed, the last 1,000 of
// each kind and account.
type DeadLetters struct {
	conn      *nats.Conn
	stream    jetstream.Stream
	read      jetstream.JetStream // for old letters
	publisher *jet.Publisher
	log       *slog.Logger
}

func newDeadLetters(conn *nats.Conn, stream jetstream.Stream, read jetstream.JetStream, log *slog.Logger) *DeadLetters {
	return &DeadLetters{conn: conn, stream: stream, read: read, publisher: jet.NewPublisher(conn), log: log}
}

// Put stores a letter and returns once it is acknowledged. Letters of the same journal
// position, or decision, within a few minutes are stored once.
func (d *DeadLetters) Put(ctx context.Context, letter events.DeadLetter) error {
	letter = fit(letter)
	payload, err := json.Marshal(letter)
	if err != nil {
		return fmt.Errorf("put dead letter: %w", err)
	}
	id := cmp.Or(letter.Position, letter.Decision, watermill.NewUUID())
	m := message.NewMessage(id, payload)
	m.SetContext(ctx)
	if err := d.publisher.Publish(deadSubject(&letter), m); err != nil {
		return fmt.Errorf("put dead letter: %w", err)
	}
	return nil
}

func decodeLetter(data []byte) (letter events.DeadLetter, err error) {
	if err = json.Unmarshal(data, &letter); err != nil {
		err = fmt.Errorf("read dead letter: %w: %w", events.ErrMalformed, err)
	}
	return letter, err
}

// fit truncates a letter that is too long for a message.
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

// Watch calls fn with each letter, also older ones, in one of the processes that watch.
// It returns nil when ctx ends. A letter whose fn fails is redelivered later.
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

// ErrNoLetter means that no dead letter has that id, or not any more.
var ErrNoLetter = errors.New("dead letter does not exist")

// Letter is a stored dead letter.
type Letter struct {
	// ID is its sequence in the stream.
	ID uint64
	events.DeadLetter
	// At is when it was stored, by NATS's clock.
	At time.Time
}

// List returns the newest letters, newest first, at most `most`. Letters that cannot be
// decoded are left out.
func (d *DeadLetters) List(ctx context.Context, most int) ([]Letter, error) {
	var list []Letter
	err := jet.Newest(ctx, d.read, deadLettersStream, deadPrefix+">", 0, most, func(m jetstream.Msg, at *jetstream.MsgMetadata) {
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
	var letter events.DeadLetter
	if err == nil {
		letter, err = decodeLetter(m.Data)
	}
	if err != nil {
		return Letter{}, fmt.Errorf("get dead letter %d: %w", id, err)
	}
	return Letter{ID: id, DeadLetter: letter, At: m.Time.UTC()}, nil
}
