package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus/jet"
	"gavel/internal/chain"
)

// Read calls fn with the groups of a lane whose stream sequence is in [from, to], in
// order, and stops at fn's first error. to may belong to another lane or not exist.
func (j *Journal) Read(ctx context.Context, lane int, from, to uint64, fn func(events.Group) error) error {
	last, err := j.Last(ctx, lane)
	if err != nil {
		return err
	}
	err = jet.Replay(ctx, j.read, jet.Span{Stream: journalStream, Subject: journalSubject(lane), From: from, To: min(to, last)}, func(m jetstream.Msg, at *jetstream.MsgMetadata) error {
		return fn(events.Group{Lane: lane, Sequence: at.Sequence.Stream, Stored: at.Timestamp, Data: m.Data()})
	})
	if err != nil {
		return fmt.Errorf("read lane %d of the journal: %w", lane, err)
	}
	return nil
}

// Last returns the newest stream sequence of a lane, 0 if it is empty.
func (j *Journal) Last(ctx context.Context, lane int) (uint64, error) {
	return jet.LastOf(ctx, j.read, journalStream, journalSubject(lane))
}

// After returns the stream sequence of a lane's first group behind a sequence, 0 without one.
func (j *Journal) After(ctx context.Context, lane int, sequence uint64) (uint64, error) {
	next, err := jet.NextOf(ctx, j.read, journalStream, journalSubject(lane), sequence+1)
	if err != nil {
		return 0, fmt.Errorf("read lane %d of the journal behind %d: %w", lane, sequence, err)
	}
	return next, nil
}

// StoredUpTo returns the sequence of a lane's last group that NATS stored at a time or before, 0
// without one.
func (j *Journal) StoredUpTo(ctx context.Context, lane int, at time.Time) (uint64, error) {
	last, err := j.Last(ctx, lane)
	if err != nil || last == 0 {
		return 0, err
	}
	first, err := jet.FirstSince(ctx, j.read, journalStream, journalSubject(lane), at.Add(1))
	if err != nil {
		return 0, fmt.Errorf("find the groups of lane %d since %s: %w", lane, at.UTC().Format(time.RFC3339), err)
	}
	if first == 0 {
		return last, nil
	}
	return first - 1, nil
}

// Group returns the data of the group at a stream sequence, nil without one that can be read.
func (j *Journal) Group(ctx context.Context, sequence uint64) (data []byte, err error) {
	s, err := j.read.Stream(ctx, journalStream)
	if err == nil {
		var m *jetstream.RawStreamMsg
		if m, err = s.GetMsg(ctx, sequence); err == nil {
			return m.Data, nil
		}
	}
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	return nil, fmt.Errorf("read group %d of the journal: %w", sequence, err)
}

// State returns the numbers of the journal's stream.
func (j *Journal) State(ctx context.Context) (chain.Journal, error) {
	return numbersOf(ctx, j.read, journalStream)
}

func numbersOf(ctx context.Context, js jetstream.JetStream, stream string) (chain.Journal, error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return chain.Journal{}, fmt.Errorf("read the state of %s: %w", stream, err)
	}
	info := s.CachedInfo()
	return chain.Journal{
		Created: info.Created.UnixNano(), First: info.State.FirstSeq, Last: info.State.LastSeq, Deleted: uint64(info.State.NumDeleted),
	}, nil
}

// A stream that refuses messages when it is full counts as nearly full and as full from
// these parts of its limit on, so that an operator has time to raise it.
const (
	NearlyFull = 0.7
	Full       = 0.9
)

// Usage is the size of the journal.
type Usage struct {
	// Created is when the stream was created: one that was made again reuses sequences.
	Created time.Time
	Bytes   uint64
	Max     uint64 // 0 means that only the server's limit applies
	// Newest is when NATS stored the last entry, zero if the journal is empty.
	Newest time.Time
	// First and Last are stream sequences over all lanes, 0 if the journal is empty.
	// Entries before First were trimmed.
	First, Last uint64
}

// Full is the used part of the limit, 0 to 1.
func (u Usage) Full() float64 {
	if u.Max == 0 {
		return 0
	}
	return float64(u.Bytes) / float64(u.Max)
}

// fault is why a journal with this usage is not ready, or nil.
func (u Usage) fault() error {
	if u.Full() < Full {
		return nil
	}
	return fmt.Errorf("the journal is %.0f %% full: raise nats.journal_max_bytes before it refuses callbacks", u.Full()*100)
}

// Usage reads the size of the journal.
func (j *Journal) Usage(ctx context.Context) (Usage, error) {
	s, err := j.read.Stream(ctx, journalStream)
	if err != nil {
		return Usage{}, fmt.Errorf("read the state of the journal: %w", err)
	}
	return usageOf(s.CachedInfo()), nil
}

func usageOf(info *jetstream.StreamInfo) Usage {
	u := Usage{
		Created: info.Created,
		Bytes:   info.State.Bytes,
		Max:     uint64(max(info.Config.MaxBytes, 0)),
		Last:    info.State.LastSeq,
	}
	if info.State.Msgs > 0 {
		u.First, u.Newest = info.State.FirstSeq, info.State.LastTime
	}
	return u
}

// catchUpEvery is how often CatchUp reads the ack floor.
const catchUpEvery = 25 * time.Millisecond

// CatchUp waits until the projectors have acknowledged all that the journal holds now. It
// polls, because NATS publishes no ack floor.
func (b *Bus) CatchUp(ctx context.Context) error {
	for _, l := range b.lanes {
		last, err := b.journal.Last(ctx, l.number)
		if err == nil {
			err = l.reach(ctx, last)
		}
		if err != nil {
			return fmt.Errorf("catch up with lane %d: %w", l.number, err)
		}
	}
	return nil
}

// reach waits until the lane's ack floor is at a stream sequence or above.
func (l *Lane) reach(ctx context.Context, sequence uint64) error {
	for {
		floor, err := l.Floor(ctx)
		if err != nil || floor >= sequence {
			return err
		}
		if err := jet.Wait(ctx, catchUpEvery); err != nil {
			return err
		}
	}
}
