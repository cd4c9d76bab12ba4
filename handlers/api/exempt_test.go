package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/handlers/api"
	"gavel/internal/keys"
	"gavel/projections"
)

// journal reads everything that was appended.
func (l *law) journal(t *testing.T) (all []events.Event) {
	t.Helper()
	for lane := range l.bus.Journal().Lanes() {
		last, err := l.bus.Journal().Last(t.Context(), lane)
		if err != nil {
			t.Fatal(err)
		}
		err = l.bus.Journal().Read(t.Context(), lane, 1, last, func(g events.Group) error {
			return g.Split(func(_ int, entry events.Entry) error {
				e, err := events.Parse(entry)
				all = append(all, e)
				return err
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestAnExemptionIsInTheJournalBeforeItIsAnswered(t *testing.T) {
	t.Parallel()
	l := openLaw(t, twoRules)
	s := start(t, []*projections.Conference{room(account, 1, "support-1", at("11:00:00"))}, l.rule)
	kate := s.keyOf(keys.Operator, account)
	a := s.as(kate, http.MethodPost, "conferences/"+sid("CF", 1)+"/exempt", `{"for":"30m","rule":"end-orphaned","reason":"the board is in there"}`)
	if a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.body)
	}
	a.status = http.StatusOK
	got := read[api.Exemption](t, a)
	want := api.Exemption{
		ID: got.ID, AccountSid: account, Conference: sid("CF", 1), FriendlyName: "support-1",
		Rule: "end-orphaned", Until: now.Add(30 * time.Minute),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	all := l.journal(t)
	if len(all) != 1 || all[0].Kind != events.Exempted {
		t.Fatalf("the journal has %+v", all)
	}
	kept, err := all[0].Exemption()
	if err != nil {
		t.Fatal(err)
	}
	wantKept := events.Exemption{
		ID: got.ID, Key: events.Key{AccountSid: account, ConferenceSid: sid("CF", 1)}, Rule: "end-orphaned",
		Until: want.Until, Reason: "the board is in there", Actor: events.Actor{Sid: kate.user, Name: "test"}, At: now,
	}
	if diff := cmp.Diff(wantKept, kept); diff != "" {
		t.Errorf("the journal (-want +got):\n%s", diff)
	}
}

// By name it is in every lane, for conferences that begin later, and in each live conference of the name.
func TestANameIsExemptedAlsoWhereNoSuchConferenceIsLive(t *testing.T) {
	t.Parallel()
	l := openLaw(t, twoRules)
	s := start(t, []*projections.Conference{
		room(account, 1, "board", at("11:00:00")), completed(room(account, 2, "board", at("10:00:00"))), room(other, 3, "sales", at("11:00:00")),
	}, l.rule)
	for i, c := range []struct {
		path, account string
		live          []string
	}{
		{"board", account, []string{sid("CF", 1)}},
		{"sales", other, []string{sid("CF", 3)}},
		{"nobody?account=" + account, account, nil},
	} {
		path, query, _ := strings.Cut(c.path, "?")
		a := s.as(s.all, http.MethodPost, "conferences/"+path+"/exempt?"+query, `{"for":"30m","reason":"x"}`)
		if a.status != http.StatusCreated {
			t.Fatalf("%s: %d %s", c.path, a.status, a.body)
		}
		a.status = http.StatusOK
		got := read[api.Exemption](t, a)
		if diff := cmp.Diff(c.live, got.Live); diff != "" || got.AccountSid != c.account || got.Conference != "" {
			t.Errorf("%s: %+v, live (-want +got):\n%s", c.path, got, diff)
		}
		named := 0
		for _, e := range l.journal(t) {
			if x, err := e.NameExemption(); e.Kind == events.NameExempted && err == nil && x.ID == got.ID {
				named++
			}
		}
		if named != l.bus.Journal().Lanes() {
			t.Errorf("%d: the exemption is in %d lanes", i, named)
		}
	}
	if a := s.as(s.all, http.MethodPost, "conferences/nobody/exempt", `{"for":"30m","reason":"x"}`); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "query.account") {
		t.Errorf("a name of no account: %d %s", a.status, a.body)
	}
}

func TestExemptionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	l := openLaw(t, twoRules)
	s := start(t, []*projections.Conference{
		room(account, 1, "support-1", at("11:00:00")), completed(room(account, 2, "support-2", at("11:00:00"))), room(other, 3, "sales", at("11:00:00")),
	}, l.rule)
	of := s.keyOf(keys.Operator, account)
	for _, c := range []struct {
		conference, body string
		status           int
		says             string
	}{
		{"support-1", `{"for":"soon","reason":"x"}`, 422, `"location":"body.for"`},
		{"support-1", `{"for":"-1m","reason":"x"}`, 422, `"location":"body.for"`},
		{"support-1", `{"for":"169h","reason":"x"}`, 422, `"location":"body.for"`},
		{"support-1", `{"for":"30m"}`, 422, `reason`},
		{"support-1", `{"for":"30m","reason":"x","rule":"end-orphans"}`, 422, `"location":"body.rule"`},
		{sid("CF", 2), `{"for":"30m","reason":"x"}`, 409, `has ended`},
		{sid("CF", 4), `{"for":"30m","reason":"x"}`, 404, `no such conference`},
		{sid("CF", 3), `{"for":"30m","reason":"x"}`, 404, `no such conference`},
	} {
		if a := s.as(of, http.MethodPost, "conferences/"+c.conference+"/exempt", c.body); a.status != c.status || !strings.Contains(a.body, c.says) {
			t.Errorf("%s %s: %d %s", c.conference, c.body, a.status, a.body)
		}
	}
	if all := l.journal(t); len(all) != 0 {
		t.Errorf("the journal has %+v", all)
	}
}

func TestNothingIsExemptedFromNoRules(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*api.Config){"unknown": func(*api.Config) {}, "none in force": openLaw(t, "").rule} {
		s := start(t, []*projections.Conference{room(account, 1, "support-1", at("11:00:00"))}, change)
		a := s.as(s.all, http.MethodPost, "conferences/support-1/exempt", `{"for":"30m","reason":"x"}`)
		if a.status != http.StatusConflict || !strings.Contains(a.body, "no rules are in force") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}
