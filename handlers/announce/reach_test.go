package announce_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/handlers/announce"
	"gavel/rules"
	"gavel/rules/schema"
)

const announcing = `rules:
  - name: still-there
    when: size(conference.live) == 1
    do:
      - announce: {say: Are you still there?}
      - wait: 30s
      - end: {}
    mode: live
  - name: quiet
    when: size(conference.live) == 1
    do: [end: {}]
  - name: later
    when: size(conference.live) == 1
    do: [announce: {say: hello}]
    mode: "off"
`

func TestAnAnnouncementNeedsAPublicURLThatTwilioCanReach(t *testing.T) {
	t.Parallel()
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Text: announcing})
	if err != nil {
		t.Fatal(err)
	}
	const twilioAPI = "https://api.twilio.com"
	for _, public := range []string{
		"http://127.0.0.1:8080", "http://127.9.9.9", "http://localhost:8080", "http://LOCALHOST.", "http://gavel.localhost",
		"http://[::1]:8080", "http://[::ffff:127.0.0.1]", "http://0.0.0.0:8080", "http://[::]",
	} {
		want := schema.Faults{{
			File: "rules.yaml", Line: 5, Column: 1, Rule: "still-there",
			Message: "announces, but Twilio cannot reach this machine: set --public-url to an address that Twilio can reach",
		}}
		var faults schema.Faults
		if err := announce.CheckReachable(set, public, twilioAPI); !errors.As(err, &faults) {
			t.Errorf("%s: %v", public, err)
		} else if diff := cmp.Diff(want, faults); diff != "" {
			t.Errorf("%s (-want +got):\n%s", public, diff)
		}
		if err := announce.CheckReachable(set, public, "http://127.0.0.1:8081"); err != nil {
			t.Errorf("%s with a Twilio on this machine: %v", public, err)
		}
	}
	for _, public := range []string{"https://gavel.example.com", "http://10.0.0.1:8080", "https://localhost.example.com", "http://[2001:db8::1]"} {
		if err := announce.CheckReachable(set, public, twilioAPI); err != nil {
			t.Errorf("%s: %v", public, err)
		}
	}
}
