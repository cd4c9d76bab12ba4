package act_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/internal/twilio"
)

// TestAnOrphanOfAnotherRegionIsEndedThere: the home region does not have the conference, and has
// other credentials. Here it does not even answer.
func TestAnOrphanOfAnotherRegionIsEndedThere(t *testing.T) {
	t.Parallel()
	w := open(t, endOrphaned)
	dublin := httptest.NewServer(w.fake.Handler())
	t.Cleanup(dublin.Close)
	home := httptest.NewServer(nil)
	home.Close()
	accounts, err := twilio.NewAccounts([]twilio.Account{{
		Sid: account, Tokens: twilio.KeyRing{Current: "home"},
		Regions: []twilio.Region{{Name: "ie1", API: dublin.URL, Tokens: []twilio.Token{{Name: "ie1-current", Secret: token}}}},
	}})
	w.must(err)
	client := twilio.NewClient(twilio.ClientConfig{
		Base: home.URL, Accounts: accounts, Metrics: twilio.NewClientMetrics(prometheus.NewRegistry()),
	})
	t.Cleanup(client.Close)
	w.config.Accounts, w.config.Twilio = accounts, &wire{client, w}
	w.region = "ie1"
	w.perform()
	r := w.enter("support", "agent", "customer")
	r.leave("agent")
	r.wake(2 * time.Minute)

	r.ends("end done")
}
