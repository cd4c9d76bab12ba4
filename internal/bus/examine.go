package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/internal/bus/natsd"
)

// Examination is the state of a NATS server, read without changing it.
type Examination struct {
	// URL is its address, without credentials.
	URL string
	// Version is the server's; VersionFault is why Gavel refuses it.
	Version      string
	VersionFault error
	// Streams are Gavel's, the journal first.
	Streams []StreamState
	// Stored is what the account stores in bytes, and MaxStored what it may, 0 without a limit.
	Stored, MaxStored int64
	// Ahead is how far the clock of the journal's leader is ahead of ours, with an
	// error of at most Within. Within is 0 without a journal.
	Ahead, Within time.Duration
}

// StreamState is one stream as it is.
type StreamState struct {
	Name string
	// Missing is a stream that the next start creates.
	Missing bool
	// Fault is why Gavel refuses to run on it.
	Fault error
	// Replicas is their number, Wanted the configured one; Behind counts replicas
	// that are offline or not current.
	Replicas, Wanted, Behind int
	// Bytes is its size and MaxBytes its limit; 0 or less means that only the
	// server's limit applies.
	Bytes, MaxBytes int64
	// Unlimited is a stream that lacks the MaxBytes it should have, so that it may
	// use the journal's room.
	Unlimited bool
	// Expires is the age at which NATS removes messages by the clock of its machine, 0 if it does not.
	Expires time.Duration
	// Refuses is whether a full stream refuses messages instead of dropping its oldest.
	Refuses bool
}

// examineWithin bounds an examination, because a person waits for it.
const examineWithin = 10 * time.Second

// Examine reads the state of the external NATS of c. An error means that NATS did not
// answer; it holds no credentials.
func Examine(ctx context.Context, c Config) (Examination, error) {
	c = c.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, examineWithin)
	defer cancel()
	nc, err := c.target(nil).DialOnce("gavel examination")
	if err != nil {
		return Examination{}, fmt.Errorf("examine NATS: connect: %w", err)
	}
	defer nc.Close()
	e := Examination{
		URL:          natsd.WithoutSecrets(nc.ConnectedUrl()),
		Version:      nc.ConnectedServerVersion(),
		VersionFault: natsd.CheckVersion(nc.ConnectedServerVersion()),
	}
	err = e.readStreams(ctx, js(nc), c)
	if err == nil {
		err = e.readStored(ctx, js(nc))
	}
	if err != nil {
		return Examination{}, fmt.Errorf("examine NATS: %w", err)
	}
	return e, nil
}

func (e *Examination) readStored(ctx context.Context, s jetstream.JetStream) error {
	account, err := s.AccountInfo(ctx)
	if err != nil {
		return fmt.Errorf("read what the account stores: %w", err)
	}
	e.Stored, e.MaxStored = int64(account.Store), max(account.Limits.MaxStore, 0)
	return nil
}

// readStreams reads the state of each stream. The first answer has the server's time.
func (e *Examination) readStreams(ctx context.Context, s jetstream.JetStream, c Config) error {
	for _, name := range allStreams() {
		asked := time.Now()
		stream, err := s.Stream(ctx, name)
		answered := time.Now()
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			e.Streams = append(e.Streams, StreamState{Name: name, Missing: true})
			continue
		}
		if err != nil {
			return fmt.Errorf("read stream %s: %w", name, err)
		}
		info := stream.CachedInfo()
		if e.Within == 0 && !info.TimeStamp.IsZero() {
			// The server's time is assumed to be that of the middle of the exchange.
			half := answered.Sub(asked) / 2
			e.Ahead, e.Within = info.TimeStamp.Sub(asked.Add(half)), max(half, 1)
		}
		e.Streams = append(e.Streams, stateOf(info, c))
	}
	return nil
}

func stateOf(info *jetstream.StreamInfo, c Config) StreamState {
	s := StreamState{
		Name:     info.Config.Name,
		Replicas: info.Config.Replicas,
		Wanted:   c.Replicas,
		Bytes:    int64(info.State.Bytes),
		MaxBytes: info.Config.MaxBytes,
		Refuses:  info.Config.Discard == jetstream.DiscardNew,
		Expires:  info.Config.MaxAge,
	}
	s.Unlimited = s.MaxBytes <= 0 && slices.Contains([]string{eventsStream, actionsStream, deadLettersStream}, s.Name)
	s.Fault = checkStream(info.Config, c)
	if info.Cluster != nil {
		for _, peer := range info.Cluster.Replicas {
			if peer.Offline || !peer.Current {
				s.Behind++
			}
		}
	}
	return s
}
