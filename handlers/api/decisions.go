package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"gavel/events"
	"gavel/rules"
	"gavel/views"
)

// DecisionList is decisions, the newest first.
type DecisionList struct {
	Decisions []views.Decision `json:"decisions"`
}

type decisionsInput struct {
	Conference string        `query:"conference" maxLength:"1024" doc:"A ConferenceSid, or a friendly name: the live conference of that name, else the newest; 409 if several accounts have one"`
	Account    string        `query:"account" doc:"One AccountSid; default: all that the key can access"`
	Rule       string        `query:"rule" maxLength:"64" doc:"The name of a rule"`
	Verdict    rules.Verdict `query:"verdict" enum:"act,would,refused"`
	Limit      int           `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

func (a *API) addDecisions(h huma.API) {
	register(a, h, huma.Operation{
		OperationID: "list-decisions", Method: http.MethodGet, Path: "decisions",
		Summary:     "What rules decided and what came of it, newest first",
		Description: "With rule or verdict, only the newest 1,000 decisions are searched.",
	}, a.listDecisions)
}

func (a *API) listDecisions(ctx context.Context, in *decisionsInput) (DecisionList, error) {
	keys, err := a.decisionKeys(ctx, in)
	if err != nil {
		return DecisionList{}, err
	}
	filter := views.DecisionFilter{Rule: in.Rule, Verdict: in.Verdict, Limit: in.Limit}
	decisions, err := a.views.ListDecisions(ctx, keys, filter)
	return DecisionList{decisions}, err
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
