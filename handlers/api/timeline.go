package api

import (
	"context"

	"gavel/views"
)

// TimelineBody is the events of one conference, in the order in which they happened.
type TimelineBody struct {
	Conference views.Conference `json:"conference"`
	Facts      []views.Fact     `json:"facts"`
	Truncated  bool             `json:"truncated" doc:"The conference has more facts than are listed here"`
}

func (a *API) timeline(ctx context.Context, in *conferenceInput) (TimelineBody, error) {
	c, err := a.find(ctx, in)
	if err != nil {
		return TimelineBody{}, err
	}
	body := TimelineBody{Conference: views.NewConference(c, a.Now())}
	key := c.Key()
	body.Facts, body.Truncated, err = a.views.Facts(ctx, key)
	return body, err
}
