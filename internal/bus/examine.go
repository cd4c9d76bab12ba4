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

// Examination is what can be found out about a NATS without changing anything
// there.
type Examination struct {
	// URL is where it was reached, without credentials.
	URL string
	// Version is the server's; VersionFault is why it will not do.
	Version      string
	VersionFault error
	// Streams are Gavel's, the journal first.
	Streams []StreamState
	// Ahead is how far the clock of the journal's leader is ahead of ours, give
	// or take Within; Within is 0 where there is no journal to tell.
	Ahead, Within time.Duration
}

// StreamState is one stream as it is.
type StreamState struct {
	Name string
	// Missing is a stream that is made at the next start.
	Missing bool
	// Fault is why Gavel refuses to run on it, or would not be served by it.
	Fault error
	// Replicas it has, Wanted by the settings; Behind are those that do not
	// follow now.
	Replicas, Wanted, Behind int
	// Bytes it holds of the MaxBytes that it may; 0 or less where only the
	// server's own limit counts.
	Bytes, MaxBytes int64
	// Unlimited is a stream that should have a MaxBytes and has none, so that it
	// may take the journal's room.
	Unlimited bool
	// Refuses is whether a full one takes nothing more, rather than dropping its
	// oldest.
	Refuses bool
}

// examineWithin bounds an examination: who looks waits for it.
const examineWithin = 10 * time.Second

// Examine looks at the external NATS of c. Its error says that nobody could be
// asked, and holds no credentials.
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
	if err := e.lookAtStreams(ctx, js(nc), c); err != nil {
		return Examination{}, fmt.Errorf("examine NATS: %w", err)
	}
	return e, nil
}

// lookAtStreams asks after each stream. The first answer tells the time as
// well.
func (e *Examination) lookAtStreams(ctx context.Context, s jetstream.JetStream, c Config) error {
	for _, name := range allStreams() {
		asked := time.Now()
		stream, err := s.Stream(ctx, name)
		answered := time.Now()
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			e.Streams = append(e.Streams, StreamState{Name: name, Missing: true})
			continue
		}
		if err != nil {
			return fmt.Errorf("ask for stream %s: %w", name, err)
		}
		info := stream.CachedInfo()
		if e.Within == 0 && !info.TimeStamp.IsZero() {
			e.compareClocks(asked, info.TimeStamp, answered)
		}
		e.Streams = append(e.Streams, stateOf(info, c))
	}
	return nil
}

// compareClocks takes the middle of the exchange for the moment of the answer.
func (e *Examination) compareClocks(asked, theirs, answered time.Time) {
	trip := answered.Sub(asked)
	e.Ahead, e.Within = theirs.Sub(asked.Add(trip/2)), max(trip/2, 1)
}

func stateOf(info *jetstream.StreamInfo, c Config) StreamState {
	s := StreamState{
		Name:     info.Config.Name,
		Replicas: info.Config.Replicas,
		Wanted:   c.Replicas,
		Bytes:    int64(info.State.Bytes),
		MaxBytes: info.Config.MaxBytes,
		Refuses:  info.Config.Discard == jetstream.DiscardNew,
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
