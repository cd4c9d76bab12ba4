package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/handlers/api"
	"gavel/projections"
	"gavel/rules"
	"gavel/views"
)

// armed is a conference with what rules remember of it, as projectors keep it.
func armed(t *testing.T, c *projections.Conference, s rules.State) projections.Stored {
	t.Helper()
	raw, err := rules.EncodeState(&s)
	if err != nil {
		t.Fatal(err)
	}
	due := s.Deadlines()[0].Due
	return projections.Stored{Conference: c, Book: projections.Book{Version: 1, Due: due.UnixMilli()}, Rules: raw}
}

// armedStack has three conferences that wait for something, and one that does not.
func armedStack(t *testing.T) *stack {
	t.Helper()
	in := func(d time.Duration) time.Time { return now.Add(d) }
	held := room(account, 1, "support-1", at("11:00:00"))
	held.Participants = []*projections.Participant{{CallSid: sid("CA", 7), Label: projections.Stated[string]{Value: "customer"}}}
	s := start(t, nil)
	s.put([]projections.Stored{
		armed(t, held, rules.State{
			Stretches: []rules.Stretch{
				{Rule: "end-orphaned", Phase: rules.Waiting, Step: 2, Of: 3, Due: in(80 * time.Second)},
				{Rule: "quiet", Phase: rules.Acting},
			},
			Flips: []rules.Flip{{Rule: "say-held", CallSid: sid("CA", 7), Due: in(time.Hour)}},
		}),
		armed(t, room(account, 2, "support-2", at("11:00:00")), rules.State{
			Exemptions: []rules.ExemptUntil{{Until: in(30 * time.Minute)}},
			Stretches:  []rules.Stretch{{Rule: "end-orphaned", Phase: rules.Running, Of: 3, Due: in(-5 * time.Second)}},
		}),
		armed(t, room(other, 3, "sales-3", at("11:00:00")), rules.State{
			Stretches: []rules.Stretch{{Rule: "end-orphaned", Phase: rules.Resting, Step: 3, Of: 3, Due: in(10 * time.Minute)}},
		}),
		{Conference: room(account, 4, "support-4", at("11:00:00")), Book: projections.Book{Version: 1}},
	})
	return s
}

func TestArmedDeadlinesRunDown(t *testing.T) {
	t.Parallel()
	s := armedStack(t)
	of := func(account string, n int, name, rule string, waits views.Wait, seconds float64) views.Deadline {
		return views.Deadline{
			AccountSid: account, ConferenceSid: sid("CF", n), FriendlyName: name, Rule: rule, Waits: waits,
			InSeconds: seconds, Due: now.Add(time.Duration(seconds) * time.Second),
		}
	}
	want := []views.Deadline{
		of(account, 2, "support-2", "end-orphaned", views.WaitFor, -5),
		of(account, 1, "support-1", "end-orphaned", views.WaitStep, 80),
		of(other, 3, "sales-3", "end-orphaned", views.WaitAgain, 600),
		of(account, 2, "support-2", "", views.WaitExemption, 1800),
		of(account, 1, "support-1", "say-held", views.WaitTime, 3600),
	}
	want[0].Steps = 3
	want[1].Step, want[1].Steps = 2, 3
	want[2].Step, want[2].Steps = 3, 3
	want[4].CallSid, want[4].Label = sid("CA", 7), "customer"
	if diff := cmp.Diff(want, read[api.DeadlineList](t, s.get("armed")).Deadlines); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(want[:2], read[api.DeadlineList](t, s.get("armed?limit=2")).Deadlines); diff != "" {
		t.Errorf("two of them (-want +got):\n%s", diff)
	}
}

func TestArmedDeadlinesOfOthersAreNotSeen(t *testing.T) {
	t.Parallel()
	s := armedStack(t)
	for _, c := range []struct {
		who  credentials
		path string
		want int
	}{
		{s.key(account), "armed", 4},
		{s.key(other), "armed", 1},
		{s.key(account, other), "armed", 5},
		{s.key(foreign), "armed", 0},
		{s.all, "armed?account=" + other, 1},
	} {
		if got := read[api.DeadlineList](t, s.as(c.who, http.MethodGet, c.path, "")).Deadlines; len(got) != c.want {
			t.Errorf("%s: %d deadlines, want %d", c.path, len(got), c.want)
		}
	}
	if a := s.as(s.key(account), http.MethodGet, "armed?account="+other, ""); a.status != http.StatusNotFound {
		t.Errorf("asking for another account: %d %s", a.status, a.body)
	}
}
