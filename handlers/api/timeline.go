package api

import (
	"context"

	"gavel/events"
	"gavel/views"
)

// TimelineBody is the events of one conference, in the order in which they happened.
type TimelineBody struct {
	Conference views.Conference `json:"conference"`
	Facts      []views.Fact     `json:"facts"`
	Truncated  bool             `json:"truncated" doc:"The conference has more facts than are listed here"`
	Decisions  []views.Decision `json:"decisions" doc:"What rules decided about it, in shadow too: the 1,000 stored last, the last first"`
}

// maxDecided bounds the decisions of a timeline.
const maxDecided = 1000

func (a *API) timeline(ctx context.Context, in *conferenceInput) (TimelineBody, error) {
	c, err := a.find(ctx, in)
	if err != nil {
		return TimelineBody{}, err
	}
	body := TimelineBody{Conference: views.NewConference(c, a.Now())}
	key := c.Key()
	if body.Facts, body.Truncated, err = a.views.Facts(ctx, key); err != nil {
		return body, err
	}
	decided, err := a.views.ListDecisions(ctx, []events.Key{key}, views.DecisionFilter{Limit: maxDecided})
	body.Decisions = decided.Decisions
	return body, err
}
