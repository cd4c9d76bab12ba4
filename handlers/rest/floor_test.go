package rest_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/events"
	"gavel/internal/bus"
	"gavel/internal/keys"
	"gavel/internal/twilio"
	"gavel/internal/twilio/twiliofake"
	"gavel/projections"
)

// floor is the API in front of the stand-in Twilio. An agent and a customer are
// in a recorded conference that the picture has.
type floor struct {
	*stack
	fake                        *twiliofake.Twilio
	bus                         *bus.Bus
	conference, agent, customer string
}

func openFloor(t *testing.T) *floor {
	t.Helper()
	f := &floor{fake: twiliofake.New(twiliofake.Config{AccountSid: account, AuthToken: token})}
	f.join(t)
	record := room(1, "floor", at("08-03 09:00:00"), leg(1, "agent", at("08-03 09:00:01"), projections.Flags{}))
	record.ConferenceSid, record.Participants[0].CallSid = f.conference, f.agent
	f.stack = start(t, record)
	f.bus = openBus(t)
	server := httptest.NewServer(f.fake.Handler())
	t.Cleanup(server.Close)
	f.config.Journal, f.config.Twilio = f.bus.Journal(), callerAt(t, server.URL)
	f.serve(f.store)
	return f
}

func (f *floor) join(t *testing.T) {
	t.Helper()
	var err error
	if f.conference, f.agent, err = f.fake.Join("floor", twiliofake.Leg{Label: "agent", StartConferenceOnEnter: true, Record: true}); err != nil {
		t.Fatal(err)
	}
	if _, f.customer, err = f.fake.Join("floor", twiliofake.Leg{Label: "müller & söhne 100% | a"}); err != nil {
		t.Fatal(err)
	}
}

// callerAt is Gavel's client, with the credentials of one account.
func callerAt(t *testing.T, base string) *twilio.Client {
	t.Helper()
	all, err := twilio.NewAccounts([]twilio.Account{{Sid: account, Tokens: twilio.KeyRing{Current: token}}})
	if err != nil {
		t.Fatal(err)
	}
	c := twilio.NewClient(twilio.ClientConfig{
		Base: base, Accounts: all, Metrics: twilio.NewClientMetrics(prometheus.NewRegistry()),
	})
	t.Cleanup(c.Close)
	return c
}

func openBus(t *testing.T) *bus.Bus {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{DataDir: t.TempDir(), Sync: bus.SyncInterval}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return b
}

// key creates a key of that role for the account.
func (f *floor) key(role keys.Role) (user, password string) {
	f.Helper()
	var accounts []string
	if role != keys.Admin {
		accounts = []string{account}
	}
	key, secret, err := f.keys.Create(f.Context(), "kate", role, accounts)
	if err != nil {
		f.Fatal(err)
	}
	return key.Sid, secret
}

// post sends a request as the account; path is relative to the account.
func (f *floor) post(path, form string) answer {
	f.Helper()
	return f.send(f.request(http.MethodPost, accounts+account+path, account, token, form))
}

// within is a path relative to the conference.
func (f *floor) within(path string) string { return "/Conferences/" + f.conference + path }

// record is the journal's entry of a write.
type record struct {
	events.Action
	outcome *events.Outcome // nil in an intent
}

// records reads the whole journal.
func (f *floor) records() (all []record) {
	f.Helper()
	err := f.bus.Journal().Read(f.Context(), 0, 1, math.MaxUint64, func(g events.Group) error {
		return g.Split(func(_ int, e events.Entry) error {
			event, err := events.Parse(e)
			if err != nil {
				return err
			}
			if event.Kind == events.HealedFact || event.Kind == events.ParticipantDialled {
				return nil
			}
			d, err := recordOf(&event)
			all = append(all, d)
			return err
		})
	})
	if err != nil {
		f.Fatal(err)
	}
	return all
}

// healed reads the facts in the journal that Twilio's answers stated.
func (f *floor) healed() (all []events.Healed) {
	f.Helper()
	err := f.bus.Journal().Read(f.Context(), 0, 1, math.MaxUint64, func(g events.Group) error {
		return g.Split(func(_ int, e events.Entry) error {
			event, err := events.Parse(e)
			if err != nil || event.Kind != events.HealedFact {
				return err
			}
			h, err := event.Healed()
			all = append(all, h)
			return err
		})
	})
	if err != nil {
		f.Fatal(err)
	}
	return all
}

func recordOf(e *events.Event) (d record, err error) {
	if d.Action, err = e.Action(); err != nil || e.Kind == events.ActionIntent {
		return d, err
	}
	o, err := e.Outcome()
	d.outcome = &o
	return d, err
}

// only returns the intent and the outcome of the one write in the journal.
func (f *floor) only() (intent, outcome record) {
	f.Helper()
	all := f.records()
	if len(all) != 2 || all[0].outcome != nil || all[1].outcome == nil || all[0].ID != all[1].ID {
		f.Fatalf("the journal holds %+v", all)
	}
	return all[0], all[1]
}

// wantOutcome compares the outcome with the expected one, except for its time.
func (d record) wantOutcome(t *testing.T, want events.Outcome) {
	t.Helper()
	want.At = d.outcome.At
	if *d.outcome != want {
		t.Errorf("the outcome is %+v, want %+v", *d.outcome, want)
	}
}

// await waits for a condition that nothing signals.
func (f *floor) await(what string, holds func() bool) {
	f.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			f.Fatalf("timed out: %s", what)
		}
	}
}

// impatient gives Twilio less time than the handler does.
type impatient struct {
	*twilio.Client
	patience time.Duration
}

func (i impatient) Call(ctx context.Context, call twilio.Call) (twilio.Answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, i.patience, fmt.Errorf("timed out after %s", i.patience))
	defer cancel()
	return i.Client.Call(ctx, call)
}

// memory is a journal and a Twilio without a network, for fuzzing.
type memory struct{ entries []events.Entry }

func (m *memory) Append(_ context.Context, _ string, e events.Entry) error {
	m.entries = append(m.entries, e)
	return nil
}

func (*memory) CanCall(string) bool { return true }

func (*memory) Call(context.Context, twilio.Call) (twilio.Answer, error) {
	return twilio.Answer{Status: http.StatusOK}, nil
}
