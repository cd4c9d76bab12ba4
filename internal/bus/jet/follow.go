package jet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// replayBatch is how many messages a replay requests at a time; more are not faster.
	replayBatch = 500
	// replayHeartbeat: a replay that receives nothing for twice as long restarts
	// at its current sequence.
	replayHeartbeat = time.Second
)

// LastOf returns the sequence of the newest message on a subject, 0 without one.
func LastOf(ctx context.Context, js jetstream.JetStream, stream, subject string) (uint64, error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return 0, fmt.Errorf("fetch the last message of %s: %w", stream, err)
	}
	m, err := LastMessage(ctx, s, subject)
	if err != nil || m == nil {
		return 0, err
	}
	return m.Sequence, nil
}

// LastMessage returns the newest message on a subject, nil without one. It reads
// from the stream's leader, because a follower may lag behind.
func LastMessage(ctx context.Context, s jetstream.Stream, subject string) (m *jetstream.RawStreamMsg, err error) {
	err = Retry(ctx, Transient, func(ctx context.Context) error {
		m, err = s.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			m, err = nil, nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("fetch the last message: %w", err)
	}
	return m, nil
}

// NextOf returns the sequence of the first message on a subject at a sequence or behind it, 0
// without one. It reads from the stream's leader.
func NextOf(ctx context.Context, js jetstream.JetStream, stream, subject string, from uint64) (next uint64, err error) {
	err = Retry(ctx, Transient, func(ctx context.Context) error {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		m, err := s.GetMsg(ctx, from, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			next = 0
			return nil
		}
		if err == nil {
			next = m.Sequence
		}
		return err
	})
	return next, err
}

// FirstSince returns the sequence of the first message on a subject that was stored at a time or
// later, 0 without one.
func FirstSince(ctx context.Context, js jetstream.JetStream, stream, subject string, at time.Time) (first uint64, err error) {
	consumer, err := js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subject}, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &at,
	})
	if err != nil {
		return 0, fmt.Errorf("make ordered consumer: %w", err)
	}
	defer deleteConsumer(ctx, js, stream, consumer)
	batch, err := consumer.FetchNoWait(1)
	if err != nil {
		return 0, fmt.Errorf("fetch one message: %w", err)
	}
	for m := range batch.Messages() {
		md, err := m.Metadata()
		if err != nil {
			return 0, err
		}
		first = md.Sequence.Stream
	}
	return first, batch.Error()
}

// AckFloor returns the ack floor of a durable consumer: every message of it up to this sequence is
// acknowledged. It is 0 if the consumer does not exist.
func AckFloor(ctx context.Context, js jetstream.JetStream, stream, name string) (uint64, error) {
	consumer, err := js.Consumer(ctx, stream, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the ack floor of %s: %w", name, err)
	}
	return consumer.CachedInfo().AckFloor.Stream, nil
}

// Span is a range of a stream, both ends included.
type Span struct {
	Stream, Subject string
	From, To        uint64
}

// Replay calls fn with every message of the span in order. s.To must not be above the
// sequence of the newest message on the subject.
func Replay(ctx context.Context, js jetstream.JetStream, s Span, fn func(jetstream.Msg, *jetstream.MsgMetadata) error) error {
	if s.To == 0 || s.From > s.To {
		return nil
	}
	return Follow(ctx, js, s, func(m jetstream.Msg, at *jetstream.MsgMetadata) error {
		if at.Sequence.Stream > s.To {
			return errStop
		}
		if err := fn(m, at); err != nil {
			return err
		}
		if at.Sequence.Stream == s.To || at.NumPending == 0 {
			return errStop
		}
		return nil
	})
}

// errStop ends a Follow without an error.
var errStop = errors.New("stop")

// Follow calls fn with the messages from s.From on, in order, until fn returns an
// error or ctx ends. An ordered consumer recovers from gaps.
func Follow(ctx context.Context, js jetstream.JetStream, s Span, fn func(jetstream.Msg, *jetstream.MsgMetadata) error) error {
	consumer, err := js.OrderedConsumer(ctx, s.Stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{s.Subject},
		DeliverPolicy:  jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:    max(s.From, 1),
	})
	if err != nil {
		return fmt.Errorf("make ordered consumer: %w", err)
	}
	defer deleteConsumer(ctx, js, s.Stream, consumer)
	messages, err := consumer.Messages(jetstream.PullMaxMessages(replayBatch), jetstream.PullHeartbeat(replayHeartbeat))
	if err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		at, err := m.Metadata()
		if err == nil {
			err = fn(m, at)
		}
		if errors.Is(err, errStop) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// deleteWithin bounds the deletion of a consumer. A reader of a server that stopped answering waits
// for it after its own 4 s, and has to answer within 5 s.
const deleteWithin = 500 * time.Millisecond

// deleteConsumer deletes an ordered consumer. nats.go would leave that to the server, which expires
// it after 5 min. A stream has at most 1,000 consumers (nats-server, default_max_consumers), so a
// few readers a second would soon block all reads. A consumer whose deletion fails expires.
func deleteConsumer(ctx context.Context, js jetstream.JetStream, stream string, consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteWithin)
	defer cancel()
	if info := consumer.CachedInfo(); info != nil {
		_ = js.DeleteConsumer(ctx, stream, info.Name)
	}
}

// newestFirst is the length of the first span that Newest reads.
const newestFirst = 1024

// Newest calls fn with the newest messages on a subject, newest first, at most
// `most`, of those before a sequence; 0 is behind all. A stream cannot be read backwards, so Newest reads spans from the end on;
// each older span is twice as long.
func Newest(ctx context.Context, js jetstream.JetStream, stream, subject string, before uint64, most int, fn func(jetstream.Msg, *jetstream.MsgMetadata)) error {
	to, err := LastOf(ctx, js, stream, subject)
	if err != nil {
		return err
	}
	if before > 0 {
		to = min(to, before-1)
	}
	for length := uint64(newestFirst); to > 0 && most > 0; length *= 2 {
		from := max(to, length) - length + 1
		some, err := newestOf(ctx, js, Span{stream, subject, from, to}, most)
		if err != nil {
			return err
		}
		for _, m := range some {
			at, err := m.Metadata()
			if err != nil {
				return err
			}
			fn(m, at)
		}
		most -= len(some)
		to = from - 1
	}
	return nil
}

// newestOf returns the newest messages of a span, newest first, at most `most`.
func newestOf(ctx context.Context, js jetstream.JetStream, s Span, most int) ([]jetstream.Msg, error) {
	var all []jetstream.Msg
	err := Replay(ctx, js, s, func(m jetstream.Msg, _ *jetstream.MsgMetadata) error {
		if all = append(all, m); len(all) >= 2*most {
			all = append(all[:0], all[len(all)-most:]...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all = all[max(len(all)-most, 0):]
	slices.Reverse(all)
	return all, nil
}
