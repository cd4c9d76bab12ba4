package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus/jet"
)

const (
	// metadataMaxAge in a stream's metadata is how long Gavel keeps its messages. NATS must not
	// remove them: it does so by whatever its machine's clock shows, at each start before any client
	// can connect, so a clock that is 40 days ahead once would empty the stream.
	metadataMaxAge = "gavel.max-age"
	// conferenceTime is how much longer than a conference its decisions are kept, because its last
	// event may be later than they are. It is longer than a call can last at Twilio, 24 hours.
	conferenceTime = 25 * time.Hour
)

// errYoung means that messages look older than they are: NATS's clock was behind when it stored them.
var errYoung = errors.New("nothing is removed: NATS stored the messages with a time before their own")

// errUnprocessed means that a lane is so far behind that its groups may lead to decisions which are
// old enough to be removed.
var errUnprocessed = errors.New("no decision is removed: a lane has not processed groups that are as old")

// Trim removes news that is older than the stream's age, and decisions of conferences that ended
// more than keep ago; a keep of zero removes none. passed is a time that has certainly passed; at
// zero nothing is removed. Processes may call it at the same time: it removes the front of a stream
// up to a message, so a second call has no effect.
func (b *Bus) Trim(ctx context.Context, passed time.Time, keep time.Duration) error {
	if passed.IsZero() {
		return nil
	}
	errs := []error{b.trimNews(ctx, passed)}
	if keep > 0 {
		errs = append(errs, b.trimDecisions(ctx, passed.Add(-keep)))
	}
	return errors.Join(errs...)
}

func (b *Bus) trimNews(ctx context.Context, passed time.Time) error {
	s, err := js(b.conns.work).Stream(ctx, eventsStream)
	if err != nil {
		return fmt.Errorf("trim the news: %w", err)
	}
	// Without the metadata an operator has set the age to none, or to another one.
	c := s.CachedInfo().Config
	age, err := time.ParseDuration(c.Metadata[metadataMaxAge])
	if err != nil || age <= 0 || c.MaxAge != 0 {
		return nil
	}
	cutoff := passed.Add(-age)
	err = b.removeBefore(ctx, s, cutoff, func(m *jetstream.RawStreamMsg) error {
		// Twilio's own time is right whatever the clock of NATS was.
		if e, err := events.ParseCloudEvent(m.Data); err == nil && !e.Time.Before(cutoff) {
			return errYoung
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("trim the news: %w", err)
	}
	return nil
}

// trimDecisions removes the decisions of conferences whose last event was before ended. First it
// records up to where all decisions were made, so that none of them is ever stored again.
func (b *Bus) trimDecisions(ctx context.Context, ended time.Time) error {
	s, err := js(b.conns.work).Stream(ctx, actionsStream)
	if err != nil {
		return fmt.Errorf("trim the decisions: %w", err)
	}
	cutoff := ended.Add(-conferenceTime)
	err = b.removeBefore(ctx, s, cutoff, func(m *jetstream.RawStreamMsg) error {
		if asOf, err := time.Parse(time.RFC3339Nano, m.Header.Get(headerAsOf)); err == nil && !asOf.Before(ended) {
			return errYoung
		}
		floors, err := b.processed(ctx, cutoff)
		if err != nil {
			return err
		}
		return b.actions.forget(ctx, horizon{Floors: floors, Before: ended.UTC()})
	})
	if err != nil {
		return fmt.Errorf("trim the decisions: %w", err)
	}
	return nil
}

// processed returns the ack floor of each lane. The error wraps errUnprocessed if a lane has not
// processed groups from before cutoff.
func (b *Bus) processed(ctx context.Context, cutoff time.Time) (map[int]uint64, error) {
	floors := map[int]uint64{}
	for _, l := range b.lanes {
		floor, err := l.Floor(ctx)
		if err != nil {
			return nil, err
		}
		upTo, err := b.journal.StoredUpTo(ctx, l.number, cutoff)
		if err != nil {
			return nil, err
		}
		if upTo > floor {
			next, err := b.journal.After(ctx, l.number, floor)
			if err != nil {
				return nil, err
			}
			if next != 0 && next <= upTo {
				return nil, fmt.Errorf("%w: lane %d", errUnprocessed, l.number)
			}
		}
		floors[l.number] = floor
	}
	return floors, nil
}

// removeBefore removes the messages that NATS stored before cutoff, from the stream's front up to
// the first younger one. check may refuse; it receives the last message that would be removed.
func (b *Bus) removeBefore(ctx context.Context, s jetstream.Stream, cutoff time.Time, check func(*jetstream.RawStreamMsg) error) error {
	state := s.CachedInfo().State
	if state.Msgs == 0 || !state.FirstTime.Before(cutoff) {
		return nil
	}
	name := s.CachedInfo().Config.Name
	first, err := jet.FirstSince(ctx, js(b.conns.read), name, ">", cutoff)
	if err != nil {
		return err
	}
	if first == 0 {
		first = state.LastSeq + 1
	}
	if first <= state.FirstSeq {
		return nil
	}
	// FirstSince also returns 0 if the answer was late: only this message proves that all are old.
	last, err := s.GetMsg(ctx, first-1)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil // another process has just removed it
	}
	if err != nil {
		return fmt.Errorf("read the last message to remove: %w", err)
	}
	if !last.Time.Before(cutoff) {
		return nil
	}
	if err := check(last); err != nil {
		return err
	}
	if err := s.Purge(ctx, jetstream.WithPurgeSequence(first)); err != nil {
		return fmt.Errorf("remove the messages before %d: %w", first, err)
	}
	b.log.Info("old messages removed", "stream", name, "up_to", first-1)
	return nil
}

// horizon is up to where decisions may have been removed. It lets a lane that processes its journal
// again recognize them.
type horizon struct {
	// Floors are the stream sequences that the lanes had processed.
	Floors map[int]uint64 `json:"floors"`
	// Before is after the time of each removed decision. A journal that was restored uses sequences
	// again, and what is decided then is younger.
	Before time.Time `json:"before"`
}

// has reports whether a decision was made before and may have been removed.
func (h *horizon) has(d *events.Decided) bool {
	return d.Position.Sequence <= h.Floors[d.Lane] && d.AsOf.Before(h.Before)
}

// raise extends a horizon by another, and reports whether that changed it.
func (h *horizon) raise(by horizon) (changed bool) {
	floors := maps.Clone(h.Floors)
	if floors == nil {
		floors = map[int]uint64{}
	}
	for lane, floor := range by.Floors {
		if floor > floors[lane] {
			floors[lane], changed = floor, true
		}
	}
	h.Floors = floors
	if by.Before.After(h.Before) {
		h.Before, changed = by.Before, true
	}
	return changed
}

// ageless hands the age of a stream over from NATS to Gavel, if it is the one that a former Gavel
// set. Processes of that Gavel leave it so: they change no age.
func (m maker) ageless(ctx context.Context, have jetstream.Stream, want jetstream.StreamConfig) (jetstream.Stream, error) {
	c := have.CachedInfo().Config
	if c.MaxAge != newsMaxAge || !madeByGavel(c, want) {
		m.log.Warn("stream expires by the clock of NATS, and one that is ahead would empty it: set its max-age to 0, and its metadata gavel.max-age to the age",
			"stream", want.Name, "max_age_seconds", c.MaxAge.Seconds())
		return have, nil
	}
	c.MaxAge, c.Metadata = 0, maps.Clone(c.Metadata)
	if c.Metadata == nil {
		c.Metadata = map[string]string{}
	}
	maps.Copy(c.Metadata, want.Metadata)
	s, err := m.js.UpdateStream(ctx, c)
	if err == nil {
		m.log.Info("stream expired by the clock of NATS, and Gavel removes its old messages now", "stream", want.Name, "max_age_seconds", newsMaxAge.Seconds())
	}
	return s, err
}
