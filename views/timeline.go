package views

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"gavel/events"
)

// Timeline reads all news of one conference so far, in the order of the stream.
type Timeline interface {
	Timeline(ctx context.Context, key events.Key, fn func(events.StoredNews) error) error
}

// maxTimeline bounds the facts of one answer: each is about 2 KB, and a day of speech
// events would be hundreds of megabytes.
const maxTimeline = 10_000

// Fact is one event and where it is stored.
type Fact struct {
	Sequence uint64          `json:"sequence" doc:"Its sequence in GAVEL_EVENTS"`
	Position string          `json:"position" doc:"Its place in the journal"`
	Event    json.RawMessage `json:"event" doc:"The CloudEvent"`

	number int64
	at     events.Position
}

// errEnough ends the reading of a timeline that is too long.
var errEnough = errors.New("enough")

// Facts returns the events of one conference, in the order in which they happened.
// truncated: the conference has more.
func (s *Source) Facts(ctx context.Context, key events.Key) (facts []Fact, truncated bool, err error) {
	facts = []Fact{}
	err = s.Timeline.Timeline(ctx, key, func(news events.StoredNews) error {
		if len(facts) == maxTimeline {
			return errEnough
		}
		facts = append(facts, newFact(news))
		return nil
	})
	if truncated = errors.Is(err, errEnough); err != nil && !truncated {
		return nil, false, fmt.Errorf("read timeline: %w", err)
	}
	sortFacts(facts)
	return facts, truncated, nil
}

func newFact(news events.StoredNews) Fact {
	return Fact{
		Sequence: news.Sequence,
		Position: news.Position.String(),
		Event:    news.Data,
		number:   sequenceNumber(news.Data),
		at:       news.Position,
	}
}

// sequenceNumber reads Twilio's SequenceNumber from a CloudEvent.
func sequenceNumber(cloudEvent []byte) int64 {
	e, err := events.ParseCloudEvent(cloudEvent)
	if err != nil {
		return events.NoSequence
	}
	n, err := strconv.ParseInt(e.Params.Get("SequenceNumber"), 10, 64)
	if err != nil {
		return events.NoSequence
	}
	return n
}

// sortFacts orders by SequenceNumber, then by position. A fact without a number (a recording)
// counts as having the greatest number of the facts before it, so that it stays behind them.
func sortFacts(facts []Fact) {
	byPosition := func(a, b Fact) int {
		return cmp.Or(cmp.Compare(a.at.Sequence, b.at.Sequence), cmp.Compare(a.at.Index, b.at.Index))
	}
	slices.SortFunc(facts, byPosition)
	greatest := events.NoSequence
	for i := range facts {
		greatest = max(greatest, facts[i].number)
		if facts[i].number == events.NoSequence {
			facts[i].number = greatest
		}
	}
	slices.SortStableFunc(facts, func(a, b Fact) int { return cmp.Compare(a.number, b.number) })
}
