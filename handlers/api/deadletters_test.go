package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gavel/events"
	"gavel/handlers/api"
	"gavel/internal/bus"
	"gavel/internal/keys"
	"gavel/internal/twilio"
)

// dead are the bus's letters as cmd hands them over.
type dead struct{ *bus.DeadLetters }

func (d dead) List(ctx context.Context, most int) (all []api.Letter, err error) {
	found, err := d.DeadLetters.List(ctx, most)
	for _, one := range found {
		all = append(all, api.Letter(one))
	}
	return all, err
}

func (d dead) Get(ctx context.Context, id uint64) (api.Letter, error) {
	one, err := d.DeadLetters.Get(ctx, id)
	if errors.Is(err, bus.ErrNoLetter) {
		err = api.ErrNoLetter
	}
	return api.Letter(one), err
}

// performer publishes decisions again, or returns err.
type performer struct {
	err   error
	asked []string
}

func (p *performer) Redrive(_ context.Context, l events.DeadLetter, by events.Actor) (string, error) {
	p.asked = append(p.asked, l.Decision+" for "+by.Name)
	return sid("", 99), p.err
}

// callback is a form as Twilio sends it.
func callback(account string, more ...string) string {
	form := url.Values{
		"AccountSid": {account}, "ConferenceSid": {sid("CF", 1)}, "FriendlyName": {"support-1"}, "StatusCallbackEvent": {"conference-start"},
		"SequenceNumber": {"1"}, "Timestamp": {now.Add(-time.Hour).Format(time.RFC1123Z)},
	}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form.Encode()
}

// graveyard holds one letter of each kind of fate, by the number they have.
func graveyard(t *testing.T) (*law, *performer, *stack) {
	t.Helper()
	l, p := openLaw(t, twoRules), &performer{}
	refused := func(form, query string) events.DeadLetter {
		return events.DeadLetter{
			Kind: events.Refused, AccountSid: account, Field: "Muted", Reason: "is not a boolean", ReceivedAt: now.Add(-time.Hour),
			Source: events.SourceCallback, Form: form, Query: query,
		}
	}
	for i, letter := range []events.DeadLetter{
		refused(callback(account), ""),
		refused(callback(account), "queue=sales"),
		refused(callback(account), "queue=other"),
		refused(callback(account, "Muted", "perhaps"), ""),
		refused(callback(other), ""),
		{Kind: events.Refused, AccountSid: account, Reason: "is not an item", Source: events.SourceEventStream, Raw: []byte(`{"id":1}`)},
		{Kind: events.Unperformed, AccountSid: account, ConferenceSid: sid("CF", 1), Decision: sid("", 7), Reason: "expired: stopped"},
		{Kind: events.Unfoldable, Reason: "is damaged", Source: events.SourceCallback, Form: callback(other), Position: "7.0"},
	} {
		if err := l.bus.DeadLetters().Put(t.Context(), letter); err != nil {
			t.Fatalf("letter %d: %v", i+1, err)
		}
	}
	accounts, err := twilio.NewAccounts([]twilio.Account{{
		Sid: account, Tokens: twilio.KeyRing{Current: token}, CallbackQueries: []string{"queue=sales"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return l, p, start(t, nil, l.rule, func(c *api.Config) { c.Accounts, c.Redrive = accounts, p })
}

func TestDeadLettersAreListedAndShown(t *testing.T) {
	t.Parallel()
	_, _, s := graveyard(t)
	all := read[api.DeadLetterList](t, s.get("deadletters")).DeadLetters
	if len(all) != 8 || all[0].ID != 8 || all[7].ID != 1 {
		t.Fatalf("listed %+v", all)
	}
	if got := read[api.DeadLetterList](t, s.get("deadletters?limit=3")).DeadLetters; len(got) != 3 {
		t.Errorf("three of them: %+v", got)
	}
	got := read[api.DeadLetterContent](t, s.get("deadletters/2"))
	if got.Kind != events.Refused || got.Field != "Muted" || got.Query != "queue=sales" || !strings.Contains(got.Form, "support-1") || got.At.IsZero() {
		t.Errorf("the second: %+v", got)
	}
	if strings.Contains(s.get("deadletters").body, "support-1") {
		t.Error("the list contains the form of a letter")
	}
	if got := read[api.DeadLetterContent](t, s.get("deadletters/6")); string(got.Raw) != `{"id":1}` {
		t.Errorf("the sixth: %+v", got)
	}
}

func TestDeadLettersOfOthersAreNotSeen(t *testing.T) {
	t.Parallel()
	_, _, s := graveyard(t)
	mine, theirs := s.keyOf(keys.Operator, account), s.keyOf(keys.Operator, other)
	if got := read[api.DeadLetterList](t, s.as(mine, http.MethodGet, "deadletters", "")).DeadLetters; len(got) != 7 {
		t.Errorf("mine: %+v", got)
	}
	if got := read[api.DeadLetterList](t, s.as(theirs, http.MethodGet, "deadletters", "")).DeadLetters; len(got) != 0 {
		t.Errorf("theirs: %+v", got)
	}
	for _, path := range []string{"deadletters/1", "deadletters/8", "deadletters/900"} {
		if a := s.as(theirs, http.MethodGet, path, ""); a.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := s.as(theirs, http.MethodPost, "deadletters/1/redrive", ""); a.status != http.StatusNotFound {
		t.Errorf("redriving: %d %s", a.status, a.body)
	}
}

func TestADeadLetterGoesOnIfItWouldBeLetInNow(t *testing.T) {
	t.Parallel()
	l, _, s := graveyard(t)
	for id, want := range map[int]struct {
		status int
		says   string
	}{
		1: {200, ""}, 2: {200, ""},
		3: {409, "callback_queries"},
		4: {409, `"location":"Muted"`},
		5: {409, "its account is not the one"},
		6: {409, "is not a form"},
		8: {200, ""}, // an entry of the journal, which the door had let in
	} {
		a := s.as(s.all, http.MethodPost, fmt.Sprintf("deadletters/%d/redrive", id), "")
		if a.status != want.status || !strings.Contains(a.body, want.says) {
			t.Errorf("%d: %d %s", id, a.status, a.body)
		}
	}
	all := l.journal(t)
	if len(all) != 3 {
		t.Fatalf("the journal has %+v", all)
	}
	for _, e := range all {
		if !e.ReceivedAt.Equal(now) || e.Kind != events.ConferenceStart {
			t.Errorf("it looks like one that was received in time: %+v", e)
		}
	}
}

func TestWhatWasNotPerformedIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	_, p, s := graveyard(t)
	got := read[api.Redriven](t, s.as(s.keyOf(keys.Operator), http.MethodPost, "deadletters/7/redrive", ""))
	if got.Decision != sid("", 99) || got.ID != 7 || len(p.asked) != 1 || p.asked[0] != sid("", 7)+" for test" {
		t.Errorf("answered %+v after %v", got, p.asked)
	}
	p.err = fmt.Errorf("wrapped: %w", api.ErrNotRedrivable)
	if a := s.as(s.all, http.MethodPost, "deadletters/7/redrive", ""); a.status != http.StatusConflict {
		t.Errorf("a decision that is not kept: %d %s", a.status, a.body)
	}
	p.err = errors.New("no answer")
	if a := s.as(s.all, http.MethodPost, "deadletters/7/redrive", ""); a.status != http.StatusServiceUnavailable {
		t.Errorf("without a performer: %d %s, want 503", a.status, a.body)
	}
}
