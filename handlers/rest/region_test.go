package rest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/internal/twilio"
	"gavel/internal/twilio/twiliofake"
	"gavel/projections"
)

// TestAWriteGoesToTheRegionOfItsConference: two conferences of one account are in two regions; each
// write reaches the Twilio that has the conference, with that region's token.
func TestAWriteGoesToTheRegionOfItsConference(t *testing.T) {
	t.Parallel()
	region := func(token string, seed uint64) (base, conference string) {
		fake := twiliofake.New(twiliofake.Config{AccountSid: account, AuthToken: token, Seed: seed})
		conference, _, err := fake.Join("floor", twiliofake.Leg{StartConferenceOnEnter: true})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(fake.Handler())
		t.Cleanup(server.Close)
		return server.URL, conference
	}
	home, atHome := region(token, 1)
	dublin, inDublin := region("dublin", 2)
	first := room(1, "home", at("08-03 09:00:00"))
	first.ConferenceSid = atHome
	second := room(2, "dublin", at("08-03 09:00:00"))
	second.ConferenceSid = inDublin
	second.KeyRegion = projections.Stated[string]{Seq: 1, Value: "ie1"}
	f := &floor{stack: start(t, first, second)}
	f.bus = openBus(t)
	accountsOf, err := twilio.NewAccounts([]twilio.Account{{
		Sid: account, Tokens: twilio.KeyRing{Current: token},
		Regions: []twilio.Region{{Name: "ie1", API: dublin, Tokens: []twilio.Token{{Name: "ie1-current", Secret: "dublin"}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	client := twilio.NewClient(twilio.ClientConfig{Base: home, Accounts: accountsOf, Metrics: twilio.NewClientMetrics(prometheus.NewRegistry())})
	t.Cleanup(client.Close)
	f.config.Journal, f.config.Twilio = f.bus.Journal(), client
	f.serve(f.store)
	for _, conference := range []string{atHome, inDublin} {
		if a := f.post("/Conferences/"+conference+".json", "Status=completed"); a.status != http.StatusOK {
			t.Errorf("conference %s: %d", conference, a.status)
		}
	}
}
