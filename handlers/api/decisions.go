package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gavel/events"
	"gavel/rules"
	"gavel/views"
)

// DecisionList is one page of decisions, the last stored first.
type DecisionList struct {
	Decisions []views.Decision `json:"decisions"`
	Next      string           `json:"next,omitempty" doc:"The cursor of the next page; absent on the last"`
}

type decisionsInput struct {
	Conference string        `query:"conference" maxLength:"1024" doc:"A ConferenceSid, or a friendly name: the live conference of that name, else the newest; 409 if several accounts have one"`
	Account    string        `query:"account" doc:"One AccountSid; default: all that the key can access"`
	Rule       string        `query:"rule" maxLength:"64" doc:"The name of a rule"`
	Verdict    rules.Verdict `query:"verdict" enum:"act,would,refused" doc:"act: to be performed; would: the rule is in shadow, or quiet hours are; refused: see reason"`
	Since      time.Time     `query:"since" doc:"As of this moment or later"`
	Limit      int           `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor     string        `query:"cursor" maxLength:"20" doc:"next of the previous page"`
}

func (a *API) addDecisions(h huma.API) {
	register(a, h, huma.Operation{
		OperationID: "list-decisions", Method: http.MethodGet, Path: "decisions",
		Summary: "What rules decided and what came of it, the last stored first",
		Description: "With rule, verdict or since, a page searches 1,000 decisions. So it may have fewer than limit, also none, and a next page. " +
			"A decision that is stored meanwhile is on no later page.",
	}, a.listDecisions)
}

func (a *API) listDecisions(ctx context.Context, in *decisionsInput) (DecisionList, error) {
	keys, err := a.decisionKeys(ctx, in)
	if err != nil {
		return DecisionList{}, err
	}
	before, err := decisionCursor(in.Cursor)
	if err != nil {
		return DecisionList{}, err
	}
	filter := views.DecisionFilter{Rule: in.Rule, Verdict: in.Verdict, Since: in.Since, Before: before, Limit: in.Limit}
	page, err := a.views.ListDecisions(ctx, keys, filter)
	body := DecisionList{Decisions: page.Decisions}
	if page.Next > 0 {
		body.Next = strconv.FormatUint(page.Next, 10)
	}
	return body, err
}

// decisionCursor reads a cursor; an empty one is the first page.
func decisionCursor(cursor string) (before uint64, err error) {
	if cursor == "" {
		return 0, nil
	}
	before, err = strconv.ParseUint(cursor, 10, 64)
	if err != nil || before == 0 {
		return 0, huma.Error400BadRequest(views.ErrCursor.Error())
	}
	return before, nil
}

// decisionKeys returns the keys to list: the requested conference, or accounts. A
// conference that the picture has removed may still have decisions.
func (a *API) decisionKeys(ctx context.Context, in *decisionsInput) ([]events.Key, error) {
	if in.Conference != "" && !events.IsSid("CF", in.Conference) {
		c, err := a.find(ctx, &conferenceInput{Conference: in.Conference, Account: in.Account})
		if err != nil {
			return nil, err
		}
		return []events.Key{{AccountSid: c.AccountSid, ConferenceSid: c.ConferenceSid}}, nil
	}
	accounts, err := a.scope(ctx, in.Account)
	if err != nil {
		return nil, err
	}
	keys := make([]events.Key, len(accounts))
	for i, account := range accounts {
		keys[i] = events.Key{AccountSid: account, ConferenceSid: events.CanonicalSid(in.Conference)}
	}
	return keys, nil
}
