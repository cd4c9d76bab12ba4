package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gavel/events"
	"gavel/internal/keys"
	"gavel/internal/twilio"
)

// DeadLetters keeps what could not go on.
type DeadLetters interface {
	// List returns the newest first, at most that many.
	List(ctx context.Context, most int) ([]Letter, error)
	// Get returns one, or an error that is ErrNoLetter.
	Get(ctx context.Context, id uint64) (Letter, error)
}

// Redriver takes up again what a rule decided and nobody could carry out.
type Redriver interface {
	// Redrive hands the decision of an unperformed letter on under a new id,
	// which it returns. It passes the re-read, the brakes and the stop as any
	// other.
	Redrive(ctx context.Context, letter events.DeadLetter, by events.Actor) (id string, err error)
}

// Accounts are the accounts of the settings.
type Accounts interface {
	Lookup(accountSid string) (*twilio.Account, bool)
}

// The errors of dead letters that are no failure.
var (
	// ErrNoLetter: there is none of that id, or not any more.
	ErrNoLetter = errors.New("no such dead letter")
	// ErrNotRedrivable: it holds no decision that can be taken up again.
	ErrNotRedrivable = errors.New("no decision of it can be taken up again")
)

// maxLettersRead bounds what is looked through for a key of some accounts.
const maxLettersRead = 1000

// Letter is a dead letter where it is kept.
type Letter struct {
	ID uint64 // greater than those of all letters before it
	events.DeadLetter
	At time.Time // when it was put there
}

// DeadLetter is something genuine that could not go on.
type DeadLetter struct {
	ID            uint64    `json:"id"`
	At            time.Time `json:"at" doc:"When it was put aside"`
	Kind          string    `json:"kind" enum:"refused,unfoldable,unperformed" doc:"Refused at the door, not folded into the picture, or decided by a rule and not carried out in time"`
	AccountSid    string    `json:"account_sid"`
	ConferenceSid string    `json:"conference_sid,omitempty"`
	Decision      string    `json:"decision,omitempty" doc:"The decision that was not carried out"`
	Field         string    `json:"field,omitempty" doc:"The parameter that is out of form"`
	Reason        string    `json:"reason"`
	ReceivedAt    time.Time `json:"received_at"`
	Position      string    `json:"position,omitempty" doc:"Its place in the journal"`
}

// DeadLetterList is dead letters, the newest first.
type DeadLetterList struct {
	DeadLetters []DeadLetter `json:"dead_letters"`
}

// DeadLetterContent is a dead letter with what came.
type DeadLetterContent struct {
	DeadLetter
	Query string `json:"query,omitempty"`
	Form  string `json:"form,omitempty" doc:"The parameters as they came"`
	Raw   []byte `json:"raw,omitempty" doc:"What came where it was no form, in base64"`
}

// Redriven says what became of a dead letter.
type Redriven struct {
	ID       uint64 `json:"id"`
	Decision string `json:"decision,omitempty" doc:"The new decision's id; absent where a callback went into the journal"`
}

type lettersInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type letterInput struct {
	ID uint64 `path:"id" minimum:"1"`
}

func (a *API) addDeadLetters(h huma.API) {
	get(h, "list-dead-letters", "deadletters", "What was genuine and could not go on, newest first", a.listDeadLetters)
	get(h, "get-dead-letter", "deadletters/{id}", "A dead letter with what came", a.getDeadLetter)
	huma.Register(h, huma.Operation{
		OperationID: "redrive-dead-letter", Method: http.MethodPost, Path: Prefix + "deadletters/{id}/redrive",
		Summary: "Send a dead letter on its way again",
		Description: "A callback goes into the journal if this version can read it; rules take it for what it is, something late. " +
			"What a rule decided is tried again under a new id: Twilio is asked how things stand, and the brakes and the stop count.",
	}, a.redrive)
}

func (a *API) listDeadLetters(ctx context.Context, in *lettersInput) (*answer[DeadLetterList], error) {
	who := identity(ctx)
	body := DeadLetterList{DeadLetters: []DeadLetter{}}
	if a.DeadLetters == nil {
		return &answer[DeadLetterList]{body}, nil
	}
	most := in.Limit
	if !who.All() {
		most = maxLettersRead
	}
	letters, err := a.DeadLetters.List(ctx, most)
	if err != nil {
		return nil, a.problem(fmt.Errorf("list dead letters: %w", err))
	}
	for _, l := range letters {
		if who.May(l.AccountSid) && len(body.DeadLetters) < in.Limit {
			body.DeadLetters = append(body.DeadLetters, viewLetter(l))
		}
	}
	return &answer[DeadLetterList]{body}, nil
}

func (a *API) getDeadLetter(ctx context.Context, in *letterInput) (*answer[DeadLetterContent], error) {
	l, err := a.letter(ctx, in.ID)
	if err != nil {
		return nil, a.problem(err)
	}
	return &answer[DeadLetterContent]{DeadLetterContent{viewLetter(l), l.Query, l.Form, l.Raw}}, nil
}

// letter returns one that the key may see: a foreign one is as good as none.
func (a *API) letter(ctx context.Context, id uint64) (Letter, error) {
	if a.DeadLetters == nil {
		return Letter{}, errNoLetter
	}
	l, err := a.DeadLetters.Get(ctx, id)
	switch {
	case errors.Is(err, ErrNoLetter):
		return Letter{}, errNoLetter
	case err != nil:
		return Letter{}, fmt.Errorf("read dead letter: %w", err)
	case !identity(ctx).May(l.AccountSid):
		return Letter{}, errNoLetter
	}
	return l, nil
}

var errNoLetter = huma.Error404NotFound("no such dead letter")

func (a *API) redrive(ctx context.Context, in *letterInput) (*answer[Redriven], error) {
	if err := operator(ctx); err != nil {
		return nil, err
	}
	l, err := a.letter(ctx, in.ID)
	if err != nil {
		return nil, a.problem(err)
	}
	who, done := identity(ctx), Redriven{ID: l.ID}
	if l.Kind == events.Unperformed {
		done.Decision, err = a.performAgain(ctx, l, who)
	} else {
		err = a.readAgain(ctx, l)
	}
	if err != nil {
		return nil, a.problem(err)
	}
	a.Log.Info("dead letter redriven", "id", l.ID, "kind", l.Kind, "account_sid", l.AccountSid, "decision", done.Decision, "by", who.KeySid)
	return &answer[Redriven]{done}, nil
}

func (a *API) performAgain(ctx context.Context, l Letter, who keys.Identity) (id string, err error) {
	if a.Redrive == nil {
		return "", huma.Error501NotImplemented("this process takes no decisions up again; ask one that acts")
	}
	id, err = a.Redrive.Redrive(ctx, l.DeadLetter, actor(who))
	switch {
	case errors.Is(err, ErrNotRedrivable):
		return "", huma.Error409Conflict("the decision is not kept any more, or cannot be read: it cannot be taken up again")
	case err != nil:
		return "", fmt.Errorf("redrive decision: %w", err)
	}
	return id, nil
}

// readAgain puts what came into the journal, if it would be let in now. Its
// signature was verified before it was put aside. It is received now: what rules
// make of it must not be as though it had come in time.
func (a *API) readAgain(ctx context.Context, l Letter) error {
	entry := events.Entry{Source: l.Source, ReceivedAt: a.Now(), Query: l.Query, Form: l.Form}
	e, err := events.Parse(entry)
	wrong := (*events.FormError)(nil)
	switch {
	case l.Form == "":
		return huma.Error409Conflict("what came was no form: it cannot be sent again from here")
	case errors.As(err, &wrong):
		return huma.Error409Conflict("it still cannot be read: "+wrong.Error(), &huma.ErrorDetail{Location: wrong.Field, Message: wrong.Reason})
	case err != nil:
		return huma.Error409Conflict("it still cannot be read")
	case e.ConferenceSid == "":
		return huma.Error409Conflict("it is about no conference: it cannot be sent again from here")
	case l.Kind == events.Refused && e.AccountSid != l.AccountSid:
		return huma.Error409Conflict("it is about another account than the one that signed it")
	case l.Query != "" && !a.listsQuery(e.AccountSid, l.Query):
		return huma.Error409Conflict("its query is none of the account's callback_queries: list it in gavel.yaml first")
	}
	if err := a.Journal.Append(ctx, e.ConferenceSid, entry); err != nil {
		return fmt.Errorf("redrive callback: %w", err)
	}
	return nil
}

// listsQuery reports whether the account's callbacks may carry that query now.
func (a *API) listsQuery(accountSid, query string) bool {
	account, known := a.Accounts.Lookup(accountSid)
	return known && account.ListsQuery(query)
}

func viewLetter(l Letter) DeadLetter {
	return DeadLetter{
		ID: l.ID, At: l.At, Kind: l.Kind, AccountSid: l.AccountSid, ConferenceSid: l.ConferenceSid, Decision: l.Decision,
		Field: l.Field, Reason: l.Reason, ReceivedAt: l.ReceivedAt, Position: l.Position,
	}
}
