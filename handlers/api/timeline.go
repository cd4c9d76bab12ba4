package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"gavel/events"
)

// maxTimeline bounds the facts of one answer: each is about 2 KB, and a day of
// speech events would be hundreds of megabytes.
const maxTimeline = 10_000

// TimelineBody is what was told about one conference, in the order in which it
// happened.
type TimelineBody struct {
	Conference Conference `json:"conference"`
	Facts      []Fact     `json:"facts"`
	Truncated  bool       `json:"truncated" doc:"There are more than are given here"`
}

// Fact is one event and where it is kept.
type Fact struct {
	Sequence uint64          `json:"sequence" doc:"Its sequence in GAVEL_EVENTS"`
	Position string          `json:"position" doc:"Its place in the journal"`
	Event    json.RawMessage `json:"event" doc:"The CloudEvent"`

	number int64
	at     events.Position
}

func (a *API) addTimeline(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "get-timeline", Method: http.MethodGet, Path: Prefix + "conferences/{conference}/timeline",
		Summary: "The events of one conference, by SequenceNumber",
	}, a.timeline)
}

// errEnough ends the reading of a timeline that is too long.
var errEnough = errors.New("enough")

func (a *API) timeline(ctx context.Context, in *conferenceInput) (*answer[TimelineBody], error) {
	c, err := a.find(ctx, in)
	if err != nil {
		return nil, a.problem(err)
	}
	body := TimelineBody{Conference: viewConference(c, a.Now()), Facts: []Fact{}}
	key := events.Key{AccountSid: c.AccountSid, ConferenceSid: c.ConferenceSid}
	err = a.Timeline.Timeline(ctx, key, func(told events.Told) error {
		if len(body.Facts) == maxTimeline {
			return errEnough
		}
		body.Facts = append(body.Facts, newFact(told))
		return nil
	})
	body.Truncated = errors.Is(err, errEnough)
	if err != nil && !body.Truncated {
		return nil, a.problem(fmt.Errorf("read timeline: %w", err))
	}
	sortFacts(body.Facts)
	return &answer[TimelineBody]{body}, nil
}

func newFact(told events.Told) Fact {
	return Fact{
		Sequence: told.Sequence,
		Position: told.Position.String(),
		Event:    told.Data,
		number:   sequenceNumber(told.Data),
		at:       told.Position,
	}
}

// sequenceNumber reads Twilio's count out of a CloudEvent.
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

// sortFacts orders by SequenceNumber, then by position. A fact without a number
// (a recording) stays behind what was known when it came: it takes the greatest
// number told before it.
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
