package api

import (
	"context"

	"gavel/views"
)

// TimelineBody is what was told about one conference, in the order in which it
// happened.
type TimelineBody struct {
	Conference views.Conference `json:"conference"`
	Facts      []views.Fact     `json:"facts"`
	Truncated  bool             `json:"truncated" doc:"There are more than are given here"`
}

func (a *API) timeline(ctx context.Context, in *conferenceInput) (*answer[TimelineBody], error) {
	c, err := a.find(ctx, in)
	if err != nil {
		return nil, a.problem(err)
	}
	body := TimelineBody{Conference: views.NewConference(c, a.Now())}
	key := c.Key()
	if body.Facts, body.Truncated, err = a.views.Facts(ctx, key); err != nil {
		return nil, a.problem(err)
	}
	return &answer[TimelineBody]{body}, nil
}
