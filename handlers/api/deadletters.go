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

// DeadLetters stores dead letters.
type DeadLetters interface {
	// List returns at most most letters, the newest first.
	List(ctx context.Context, most int) ([]Letter, error)
	// Get returns one, or an error that is ErrNoLetter.
	Get(ctx context.Context, id uint64) (Letter, error)
}

// Redriver performs decisions again that could not be carried out.
type Redriver interface {
	// Redrive publishes the decision of an unperformed letter again and returns its
	// new id. The re-read, the brakes and the stop apply as to any other decision.
	Redrive(ctx context.Context, letter events.DeadLetter, by events.Actor) (id string, err error)
}

// Accounts are the accounts of the settings.
type Accounts interface {
	Lookup(accountSid string) (*twilio.Account, bool)
}

// Expected errors of dead letters.
var (
	// ErrNoLetter: no letter has the id, or it was removed.
	ErrNoLetter = errors.New("no such dead letter")
	// ErrNotRedrivable: the letter has no decision that can be performed again.
	ErrNotRedrivable = errors.New("the dead letter has no decision that can be performed again")
)

// maxLettersRead bounds how many letters are searched for a key of some accounts.
const maxLettersRead = 1000

// Letter is a stored dead letter.
type Letter struct {
	ID uint64 // greater than those of all letters before it
	events.DeadLetter
	At time.Time // when it was stored
}

// DeadLetter is a genuine callback or a decision that could not be processed.
type DeadLetter struct {
	ID            uint64    `json:"id"`
	At            time.Time `json:"at" doc:"When it was stored"`
	Kind          string    `json:"kind" enum:"refused,unfoldable,unperformed" doc:"Refused at the door, not folded into the picture, or decided by a rule and not carried out in time"`
	AccountSid    string    `json:"account_sid"`
	ConferenceSid string    `json:"conference_sid,omitempty"`
	Decision      string    `json:"decision,omitempty" doc:"The decision that was not carried out"`
	Field         string    `json:"field,omitempty" doc:"The malformed parameter"`
	Reason        string    `json:"reason"`
	ReceivedAt    time.Time `json:"received_at"`
	Position      string    `json:"position,omitempty" doc:"Its place in the journal"`
}

// DeadLetterList is dead letters, the newest first.
type DeadLetterList struct {
	DeadLetters []DeadLetter `json:"dead_letters"`
}

// DeadLetterContent is a dead letter with its content.
type DeadLetterContent struct {
	DeadLetter
	Query string `json:"query,omitempty"`
	Form  string `json:"form,omitempty" doc:"The parameters as they arrived"`
	Raw   []byte `json:"raw,omitempty" doc:"The body if it is not a form, in base64"`
}

// Redriven is the result of a redrive.
type Redriven struct {
	ID       uint64 `json:"id"`
	Decision string `json:"decision,omitempty" doc:"The new decision's id; absent if a callback was appended to the journal"`
}

type lettersInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type letterInput struct {
	ID uint64 `path:"id" minimum:"1"`
}

func (a *API) addDeadLetters(h huma.API) {
	get(a, h, "list-dead-letters", "deadletters", "Genuine callbacks and decisions that could not be processed, newest first", a.listDeadLetters)
	get(a, h, "get-dead-letter", "deadletters/{id}", "A dead letter with its content", a.getDeadLetter)
	register(a, h, huma.Operation{
		OperationID: "redrive-dead-letter", Method: http.MethodPost, Path: "deadletters/{id}/redrive",
		Summary: "Process a dead letter again",
		Description: "A callback is appended to the journal if this version can read it; rules treat it as late. " +
			"A decision is tried again under a new id: Gavel fetches the present state from Twilio, and the brakes and the stop count.",
	}, a.redrive)
}

func (a *API) listDeadLetters(ctx context.Context, in *lettersInput) (DeadLetterList, error) {
	who, most := identity(ctx), in.Limit
	body := DeadLetterList{DeadLetters: []DeadLetter{}}
	if a.DeadLetters == nil {
		return body, nil
	}
	if !who.All() {
		most = maxLettersRead
	}
	letters, err := a.DeadLetters.List(ctx, most)
	if err != nil {
		return body, fmt.Errorf("list dead letters: %w", err)
	}
	for _, l := range letters {
		if who.May(l.AccountSid) && len(body.DeadLetters) < in.Limit {
			body.DeadLetters = append(body.DeadLetters, viewLetter(l))
		}
	}
	return body, nil
}

func (a *API) getDeadLetter(ctx context.Context, in *letterInput) (DeadLetterContent, error) {
	l, err := a.letter(ctx, in.ID)
	return DeadLetterContent{viewLetter(l), l.Query, l.Form, l.Raw}, err
}

// letter returns a letter that the key can access. Any other is not found.
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

func (a *API) redrive(ctx context.Context, in *letterInput) (done Redriven, err error) {
	if err := operator(ctx); err != nil {
		return done, err
	}
	l, err := a.letter(ctx, in.ID)
	if err != nil {
		return done, err
	}
	who := identity(ctx)
	done.ID = l.ID
	if l.Kind == events.Unperformed {
		done.Decision, err = a.performAgain(ctx, l, who)
	} else {
		err = a.readAgain(ctx, l)
	}
	if err != nil {
		return done, err
	}
	a.Log.Info("dead letter redriven", "id", l.ID, "kind", l.Kind, "account_sid", l.AccountSid, "decision", done.Decision, "by", who.KeySid)
	return done, nil
}

func (a *API) performAgain(ctx context.Context, l Letter, who keys.Identity) (id string, err error) {
	if a.Redrive == nil {
		return "", huma.Error501NotImplemented("this process has no role act; call one that has it")
	}
	id, err = a.Redrive.Redrive(ctx, l.DeadLetter, actor(who))
	switch {
	case errors.Is(err, ErrNotRedrivable):
		return "", huma.Error409Conflict("the decision was removed or cannot be read: it cannot be performed again")
	case err != nil:
		return "", fmt.Errorf("redrive decision: %w", err)
	}
	return id, nil
}

// readAgain appends a callback to the journal if the door would accept it now. Its
// signature was verified before it became a dead letter. Its time of receipt is now:
// if its event is older than rules.MaxAge, rules treat it as stale.
func (a *API) readAgain(ctx context.Context, l Letter) error {
	entry := events.Entry{Source: l.Source, ReceivedAt: a.Now(), Query: l.Query, Region: l.Region, Form: l.Form}
	e, err := events.Parse(entry)
	wrong := (*events.FormError)(nil)
	switch {
	case l.Form == "":
		return huma.Error409Conflict("its content is not a form: it cannot be redriven")
	case errors.As(err, &wrong):
		return huma.Error409Conflict("it still cannot be read: "+wrong.Error(), &huma.ErrorDetail{Location: wrong.Field, Message: wrong.Reason})
	case err != nil:
		return huma.Error409Conflict("it still cannot be read")
	case e.ConferenceSid == "":
		return huma.Error409Conflict("it has no conference: it cannot be redriven")
	case l.Kind == events.Refused && e.AccountSid != l.AccountSid:
		return huma.Error409Conflict("its account is not the one that signed it")
	case l.Query != "" && !a.allowsQuery(&e):
		return huma.Error409Conflict("its query is not in the account's callback_queries: add it in gavel.yaml first")
	}
	if err := a.Journal.Append(ctx, e.ConferenceSid, entry); err != nil {
		return fmt.Errorf("redrive callback: %w", err)
	}
	return nil
}

// allowsQuery reports whether the account's callbacks may carry the event's query now.
func (a *API) allowsQuery(e *events.Event) bool {
	account, known := a.Accounts.Lookup(e.AccountSid)
	return known && account.CheckQuery(e.Query, e.Params) == nil
}

// viewLetter returns the letter as the API lists it, without the content of the callback.
func viewLetter(l Letter) DeadLetter {
	return DeadLetter{
		ID: l.ID, At: l.At, Kind: l.Kind, AccountSid: l.AccountSid, ConferenceSid: l.ConferenceSid, Decision: l.Decision,
		Field: l.Field, Reason: l.Reason, ReceivedAt: l.ReceivedAt, Position: l.Position,
	}
}
