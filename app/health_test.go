package app

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/handlers/project"
)

func TestAJournalThatFillsUpWarns(t *testing.T) {
	t.Parallel()
	for full, want := range map[float64]check{
		0:    {OK: true},
		0.69: {OK: true},
		0.7:  {OK: true, Warning: "is 70 % full"},
		0.89: {OK: true, Warning: "is 89 % full"},
	} {
		if diff := cmp.Diff(want, fullness(full)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", full, diff)
		}
	}
}

func TestAProjectorIsAsGoodAsItsWorstLane(t *testing.T) {
	t.Parallel()
	well := project.State{Ready: true, Lag: time.Second}
	for name, c := range map[string]struct {
		lane project.State
		want check
	}{
		"well":    {project.State{Lane: 1, Ready: true}, check{OK: true}},
		"standby": {project.State{Lane: 1, Elsewhere: true}, check{OK: true}},
		"filling": {project.State{Lane: 1, Filling: true, Done: 5, Total: 9}, check{Error: "lane 1: filling the picture, 5 of 9"}},
		"stuck":   {project.State{Lane: 1, Err: "redis is away"}, check{Error: "lane 1: redis is away"}},
		"moving":  {project.State{Lane: 1}, check{Error: "lane 1: is being taken over"}},
		"behind":  {project.State{Lane: 1, Ready: true, Lag: 11 * time.Second}, check{Error: "lane 1: is 11s behind"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, projectorCheck([]project.State{well, c.lane})); diff != "" {
				t.Errorf("check (-want +got):\n%s", diff)
			}
		})
	}
}

// A load balancer that polls /readyz sees that the process stops while all
// requests are still answered. Without a poll the stop does not wait.
func TestAStopWaitsForThePollersOfReadiness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		door := &Listener{}
		door.Show(http.HandlerFunc(alive))
		r := &readiness{App: &App{public: door, admin: door}}
		stopping := func() time.Duration {
			began := time.Now()
			if err := r.stop(t.Context()); err != nil {
				t.Error(err)
			}
			return time.Since(began)
		}
		if took := stopping(); took != 0 || door.leaving.Load() {
			t.Errorf("without a poll of readiness the stop took %s, want 0s", took)
		}
		r.asked.Store(time.Now().UnixNano())
		if took := stopping(); took != noticeTime {
			t.Errorf("after a poll of readiness the stop took %s, want %s", took, noticeTime)
		}
		answer := httptest.NewRecorder()
		door.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/healthz", nil))
		if got := answer.Header().Get("Connection"); answer.Code != http.StatusOK || got != "close" {
			t.Errorf("meanwhile a request is answered %d, Connection: %q", answer.Code, got)
		}
	})
}
