package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"gavel/internal/chain"
)

// Ledger records which lanes of the journal wait for an operator.
type Ledger interface {
	Read(ctx context.Context) (*chain.Book, error)
	Accept(ctx context.Context, reason, by string) (chain.Acceptance, error)
}

// JournalState is which lanes are held, and what operators accepted.
type JournalState struct {
	Held     []HeldLane         `json:"held" doc:"Lanes whose journal is not the one that Gavel processed"`
	Accepted []chain.Acceptance `json:"accepted" doc:"Acceptances, oldest first"`
}

// HeldLane is a lane that is not worked.
type HeldLane struct {
	Lane int `json:"lane"`
	chain.Held
}

var errNoLedger = huma.Error501NotImplemented("this process does not verify its journal")

func (a *API) addJournal(h huma.API) {
	get(a, h, "get-journal", "journal", "Whether the journal is the one that Gavel processed", a.getJournal)
	register(a, h, huma.Operation{
		OperationID: "accept-journal", Method: http.MethodPost, Path: "journal/accept",
		Summary:     "Go on with the journal as it is",
		Description: "Each lane that is held is filled from what its journal holds; its conferences are readable and rules act again after that.",
	}, a.acceptJournal)
}

func (a *API) getJournal(ctx context.Context, _ *struct{}) (JournalState, error) {
	if err := operatorOfAll(ctx); err != nil {
		return JournalState{}, err
	}
	if a.Ledger == nil {
		return JournalState{}, errNoLedger
	}
	b, err := a.Ledger.Read(ctx)
	if err != nil {
		return JournalState{}, err
	}
	state := JournalState{Held: []HeldLane{}, Accepted: append([]chain.Acceptance{}, b.Accepted...)}
	for _, lane := range b.Lanes() {
		state.Held = append(state.Held, HeldLane{lane, b.Held[lane]})
	}
	return state, nil
}

func (a *API) acceptJournal(ctx context.Context, in *struct{ Body because }) (chain.Acceptance, error) {
	if err := admin(ctx); err != nil {
		return chain.Acceptance{}, err
	}
	if a.Ledger == nil {
		return chain.Acceptance{}, errNoLedger
	}
	who := identity(ctx)
	accepted, err := a.Ledger.Accept(ctx, in.Body.Reason, actor(who).String())
	switch {
	case errors.Is(err, chain.ErrNothing):
		return accepted, huma.Error409Conflict(chain.ErrNothing.Error())
	case errors.Is(err, chain.ErrReason):
		return accepted, badReason
	case err != nil:
		return accepted, err
	}
	a.Log.Warn("journal accepted as it is", "by", who.KeySid)
	return accepted, nil
}
