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
	// Verify requests that the owners of the lanes verify all of the journal.
	Verify(ctx context.Context, by string, lanes int) (chain.Verification, error)
}

// JournalState is which lanes are held, and what operators accepted.
type JournalState struct {
	Held     []HeldLane         `json:"held" doc:"Lanes whose journal is not the one that Gavel processed"`
	Accepted []chain.Acceptance `json:"accepted" doc:"Acceptances, oldest first"`
	// Verification is the newest request to verify all of it.
	Verification *JournalVerification `json:"verification,omitempty" doc:"The newest verification that was requested"`
}

// JournalVerification is how far a verification of the journal has come.
type JournalVerification struct {
	chain.Verification
	Verified []VerifiedLane `json:"verified" doc:"Lanes that their owner has begun to verify"`
	Finished bool           `json:"finished" doc:"Each lane is verified, or held"`
}

// VerifiedLane is one lane of it.
type VerifiedLane struct {
	Lane int `json:"lane"`
	chain.Verified
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
	register(a, h, huma.Operation{
		OperationID: "verify-journal", Method: http.MethodPost, Path: "journal/verify",
		Summary:     "Verify all of the journal now",
		Description: "The process that owns a lane compares all of its groups with what was processed, while it works the lane. `GET /v1/journal` has the progress.",
	}, a.verifyJournal)
}

func (a *API) verifyJournal(ctx context.Context, _ *struct{}) (chain.Verification, error) {
	if err := operatorOfAll(ctx); err != nil {
		return chain.Verification{}, err
	}
	if a.Ledger == nil {
		return chain.Verification{}, errNoLedger
	}
	who := identity(ctx)
	v, err := a.Ledger.Verify(ctx, actor(who).String(), a.LaneCount)
	if err == nil {
		a.Log.Info("verification of the journal requested", "by", who.KeySid)
	}
	return v, err
}

// viewVerification returns the newest verification, nil if none was requested.
func viewVerification(b *chain.Book) *JournalVerification {
	if b.Verification == nil {
		return nil
	}
	v := &JournalVerification{Verification: *b.Verification, Verified: []VerifiedLane{}, Finished: true}
	for lane := range v.Lanes {
		if done := b.Verified[lane]; done.Number == v.Number {
			v.Verified = append(v.Verified, VerifiedLane{lane, done})
		}
		_, held := b.Held[lane]
		v.Finished = v.Finished && (held || b.Wanted(lane) == 0)
	}
	return v
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
	state := JournalState{Held: []HeldLane{}, Accepted: append([]chain.Acceptance{}, b.Accepted...), Verification: viewVerification(b)}
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
