package act_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/events"
	"gavel/handlers/act"
	"gavel/internal/brakes"
	"gavel/internal/twilio"
	"gavel/projections"
	"gavel/rules"
)

// Whatever Twilio answers, and whatever a decision and its note hold: there is
// an outcome, or a later try, or an error, and no loop and no panic.
func FuzzWhateverComesIsSettled(f *testing.F) {
	leg := `{"participants": [{"call_sid": "CA00000000000000000000000000000001", "status": "connected", "hold": true}]}`
	f.Add("end", "", `{"status": "in-progress"}`, leg, 200, []byte(`{}`))
	f.Add("end", "", `{"status": "completed"}`, `{}`, 404, []byte(`{"why": "stopped", "in_time": true}`))
	f.Add("kick", "", `{"status": "init"}`, `{"participants": [{}], "next_page_uri": "/elsewhere"}`, 500, []byte(`{"why": "announced"}`))
	f.Add("set", "unhold", `{"status": "in-progress"}`, leg, 429, []byte(`{"unheld": true, "set": {"Result": "done"}}`))
	f.Add("set", "skip", `[]`, `null`, 302, []byte(`{"secured": true, "tries": 99999}`))
	f.Add("announce", "", `{"status": "in-progress"}`, leg, 400, []byte(`not JSON`))
	f.Add("mute", "", `{"status": "\u0000"}`, leg, 99, []byte(`{"tries": -5}`))
	f.Fuzz(func(t *testing.T, do, held, conference, participants string, status int, note []byte) {
		m := &memory{note: note, conference: conference, participants: participants, status: status}
		m.decide(t, do, held)
		m.perform(t)
		if m.err == nil && m.outcomes == 0 && m.later == 0 {
			t.Error("neither an outcome nor a later try")
		}
		for _, e := range m.entries {
			if _, err := events.Parse(e); err != nil {
				t.Errorf("an entry of the journal cannot be read: %v", err)
			}
		}
	})
}

// memory is all state of a performer, without a network, for one decision.
type memory struct {
	decided                  events.Decided
	note                     []byte
	conference, participants string
	status                   int

	refusals int  // writes that are answered status; after them all are done. 0: all are answered so
	noAlarms bool // NATS sets none

	err             error
	entries         []events.Entry
	outcomes, later int
	holds           int // requests to put a leg on hold
}

// decide makes the decision.
func (m *memory) decide(t *testing.T, do, held string) {
	t.Helper()
	d := rules.Decision{
		ID: strings.Repeat("0", 32), Rule: "rule", AccountSid: account, ConferenceSid: "CF" + strings.Repeat("0", 32), CallSid: "CA" + strings.Repeat("0", 31) + "1",
		Do: rules.StepKind(do), Verdict: rules.Act, AsOf: time.Unix(1_800_000_000, 0),
		Params: map[string]string{"when_held": held, "end_conference_on_exit": "true"},
	}
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	m.decided = events.Decided{ID: d.ID, Key: events.Key{AccountSid: account, ConferenceSid: d.ConferenceSid}, Rule: d.Rule, AsOf: d.AsOf, Data: raw}
}

// perform makes one try.
func (m *memory) perform(t *testing.T) {
	t.Helper()
	accounts, err := twilio.NewAccounts([]twilio.Account{{Sid: account, Tokens: twilio.KeyRing{Current: token}}})
	if err != nil {
		t.Fatal(err)
	}
	p := act.New(act.Config{
		Decisions: m, Timers: m, News: m, Records: m, Journal: m, Twilio: m, Rules: m, Brakes: m, DeadLetters: m, Notifier: notifiers{},
		Accounts: accounts, PublicURL: public, Now: func() time.Time { return m.decided.AsOf },
		Log: slog.New(slog.DiscardHandler), Metrics: act.NewMetrics(prometheus.NewRegistry()),
	})
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (m *memory) Perform(context.Context, string, int, func(context.Context, events.Decided) error) error {
	return nil
}

func (m *memory) Get(context.Context, events.Key, string) (events.Decided, error) {
	return m.decided, nil
}

func (m *memory) Decide(context.Context, []events.Decided) (int, error) { return 0, nil }

func (m *memory) Later(context.Context, events.Key, string, time.Time, []byte) error {
	m.later++
	if m.noAlarms {
		return errDead
	}
	return nil
}

func (m *memory) Dues(ctx context.Context, _ int, fn func(context.Context, events.Key, string, []byte) error) error {
	m.err = fn(ctx, m.decided.Key, m.decided.ID, m.note)
	return nil
}

func (m *memory) Follow(context.Context, string, []events.Kind, func(context.Context, events.StoredNews) error) error {
	return nil
}

func (m *memory) FollowNew(context.Context, string, []events.Kind, func(context.Context, events.StoredNews) error) error {
	return nil
}

func (m *memory) Unfollow(context.Context, string) error { return nil }

func (m *memory) CanCall(string) bool { return true }

func (m *memory) Conference(context.Context, events.Key) (projections.Stored, error) {
	return projections.Stored{
		Conference: &projections.Conference{AccountSid: account, ConferenceSid: m.decided.Key.ConferenceSid},
		Rules:      []byte(`{"stretches": [{"rule": "rule", "awaiting": ["` + m.decided.ID + `"]}]}`),
	}, nil
}

func (m *memory) Append(_ context.Context, _ string, e events.Entry) error {
	m.entries = append(m.entries, e)
	if strings.Contains(e.Form, string(events.ActionOutcome)) {
		m.outcomes++
	}
	return nil
}

func (m *memory) Call(ctx context.Context, call twilio.Call) (twilio.Answer, error) {
	switch {
	case call.Before != nil:
		if call.Form == "Hold=true" {
			m.holds++
		}
		if m.refusals > 0 && m.holds > m.refusals {
			return twilio.Answer{Status: http.StatusOK, Body: []byte(`{}`)}, call.Before(ctx)
		}
		return twilio.Answer{Status: m.status}, call.Before(ctx)
	case strings.Contains(call.Path, "Participants"):
		return twilio.Answer{Status: http.StatusOK, Body: []byte(m.participants)}, nil
	}
	return twilio.Answer{Status: http.StatusOK, Body: []byte(m.conference)}, nil
}

func (m *memory) Set(context.Context, string) (*rules.Set, error) { return anything() }

func (m *memory) Current(context.Context) (*rules.Set, error) { return anything() }

// anything is a rule that always holds.
var anything = sync.OnceValues(func() (*rules.Set, error) {
	return rules.Parse(rules.File{Name: "rules.yaml", Text: `
rules:
  - name: rule
    when: "true"
    do: [{end: {}}]
    mode: live
`})
})

func (m *memory) Admit(context.Context, brakes.Request) (brakes.Verdict, error) {
	return brakes.Verdict{Answer: brakes.Admitted}, nil
}

func (m *memory) Stopped(context.Context) (bool, brakes.Stop, error) {
	return false, brakes.Stop{}, nil
}

func (m *memory) Put(context.Context, events.DeadLetter) error { return nil }
