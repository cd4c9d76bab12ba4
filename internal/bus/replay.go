package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
)

const (
	// replayBatch is how many messages a replay asks for at a time; more gain
	// nothing.
	replayBatch = 500
	// replayHeartbeat: a replay that hears nothing for twice as long begins
	// again where it is.
	replayHeartbeat = time.Second
)

// Read calls fn with the groups of a lane whose stream sequence lies in [from,
// to], in order, and stops at fn's first error. It ends even where to belongs
// to another lane or does not exist.
func (j *Journal) Read(ctx context.Context, lane int, from, to uint64, fn func(events.Group) error) error {
	last, err := j.Last(ctx, lane)
	if err != nil {
		return err
	}
	err = replay(ctx, j.read, span{journalStream, journalSubject(lane), from, min(to, last)}, func(m jetstream.Msg, seq uint64) error {
		return fn(events.Group{Lane: lane, Sequence: seq, Data: m.Data()})
	})
	if err != nil {
		return fmt.Errorf("read lane %d of the journal: %w", lane, err)
	}
	return nil
}

// Last is the newest stream sequence of a lane, 0 when it is empty.
func (j *Journal) Last(ctx context.Context, lane int) (uint64, error) {
	return lastOf(ctx, j.read, journalStream, journalSubject(lane))
}

// Usage is how much of the journal's room is taken.
type Usage struct {
	Bytes uint64
	Max   uint64 // 0: nothing but the server's own limit
	// First and Last are stream sequences over all lanes, 0 when the journal
	// is empty. What lies before First was trimmed.
	First, Last uint64
}

// Full is the part of the room that is taken, 0 to 1.
func (u Usage) Full() float64 {
	if u.Max == 0 {
		return 0
	}
	return float64(u.Bytes) / float64(u.Max)
}

// Usage asks how full the journal is.
func (j *Journal) Usage(ctx context.Context) (Usage, error) {
	s, err := j.read.Stream(ctx, journalStream)
	if err != nil {
		return Usage{}, fmt.Errorf("ask for the state of the journal: %w", err)
	}
	return usageOf(s.CachedInfo()), nil
}

func usageOf(info *jetstream.StreamInfo) Usage {
	u := Usage{
		Bytes: info.State.Bytes,
		Max:   uint64(max(info.Config.MaxBytes, 0)),
		Last:  info.State.LastSeq,
	}
	if info.State.Msgs > 0 {
		u.First = info.State.FirstSeq
	}
	return u
}

// lastOf is the sequence of the newest message on a subject, 0 when there is
// none.
func lastOf(ctx context.Context, js jetstream.JetStream, stream, subject string) (uint64, error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return 0, fmt.Errorf("ask for the last message of %s: %w", stream, err)
	}
	m, err := lastMessage(ctx, s, subject)
	if err != nil || m == nil {
		return 0, err
	}
	return m.Sequence, nil
}

// lastMessage is the newest message on a subject, nil when there is none. It
// asks the stream's leader: a follower may not know it yet.
func lastMessage(ctx context.Context, s jetstream.Stream, subject string) (m *jetstream.RawStreamMsg, err error) {
	err = retrying(ctx, isTransient, func(ctx context.Context) error {
		m, err = s.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			m, err = nil, nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask for the last message: %w", err)
	}
	return m, nil
}

// span is a stretch of a stream, both ends included.
type span struct {
	stream, subject string
	from, to        uint64
}

// replay calls fn with every message of the span in order. to must be the
// sequence of a message on the subject, or lie before it.
func replay(ctx context.Context, js jetstream.JetStream, s span, fn func(m jetstream.Msg, seq uint64) error) error {
	if s.to == 0 || s.from > s.to {
		return nil
	}
	return follow(ctx, js, s, func(m jetstream.Msg, at *jetstream.MsgMetadata) error {
		if at.Sequence.Stream > s.to {
			return errEnough
		}
		if err := fn(m, at.Sequence.Stream); err != nil {
			return err
		}
		if at.Sequence.Stream == s.to || at.NumPending == 0 {
			return errEnough
		}
		return nil
	})
}

// errEnough ends a follow without an error.
var errEnough = errors.New("enough")

// follow calls fn with the messages of the span from s.from on, in order,
// until fn says so or ctx ends. An ordered consumer mends gaps by itself.
func follow(ctx context.Context, js jetstream.JetStream, s span, fn func(jetstream.Msg, *jetstream.MsgMetadata) error) error {
	consumer, err := js.OrderedConsumer(ctx, s.stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{s.subject},
		DeliverPolicy:  jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:    max(s.from, 1),
	})
	if err != nil {
		return fmt.Errorf("make ordered consumer: %w", err)
	}
	defer dismiss(ctx, js, s.stream, consumer)
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
		if errors.Is(err, errEnough) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// dismissTime bounds the parting from a consumer.
const dismissTime = time.Second

// dismiss takes an ordered consumer away, which nats.go leaves to the server: it
// forgets one after 5 min. A stream has at most 1,000 (nats-server,
// default_max_consumers), so a few readers a second would soon keep everybody
// from reading. One that stays all the same is forgotten then.
func dismiss(ctx context.Context, js jetstream.JetStream, stream string, consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dismissTime)
	defer cancel()
	if info := consumer.CachedInfo(); info != nil {
		_ = js.DeleteConsumer(ctx, stream, info.Name)
	}
}

// newestFirst is how far newest looks back at first.
const newestFirst = 1024

// newest calls fn with the newest messages on a subject, newest first, at most
// `most`. A stream cannot be read backwards: it is read in stretches, of which
// each that lies further back is twice as long.
func newest(ctx context.Context, js jetstream.JetStream, stream, subject string, most int, fn func(jetstream.Msg, *jetstream.MsgMetadata)) error {
	to, err := lastOf(ctx, js, stream, subject)
	if err != nil {
		return err
	}
	for stretch := uint64(newestFirst); to > 0 && most > 0; stretch *= 2 {
		from := max(to, stretch) - stretch + 1
		some, err := newestOf(ctx, js, span{stream, subject, from, to}, most)
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
func newestOf(ctx context.Context, js jetstream.JetStream, s span, most int) ([]jetstream.Msg, error) {
	var all []jetstream.Msg
	err := replay(ctx, js, s, func(m jetstream.Msg, _ uint64) error {
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
