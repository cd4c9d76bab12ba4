package act_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gavel/events"
	"gavel/internal/twilio/twiliofake"
)

// announceURLs are the addresses that Twilio was given for the room, in order.
func (r *room) announceURLs() (all []string) {
	for _, form := range r.writes() {
		if at := form.Get("AnnounceUrl"); strings.Contains(form.Get("path"), r.key.ConferenceSid) && at != "" {
			all = append(all, at)
		}
	}
	return all
}

// heard publishes the end of an announcement, as the projector does.
func (r *room) heard(announceURL string, kind events.Kind) {
	r.Helper()
	data, err := json.Marshal(map[string]any{"data": map[string]string{"AnnounceUrl": announceURL}})
	r.must(err)
	r.must(r.bus.News().Publish(r.Context(), []events.News{{Key: r.key, Kind: kind, ID: events.NewULID(), Data: data}}))
}

const stillThere = `
rules:
  - name: still-there
    when: size(conference.live) == 1
    for: 2m
    do:
      - announce: {say: "Are you still there?"}
      - wait: 30s
      - end: {}
    mode: live
`

func TestAnOrphanIsAnnouncedToAndEnded(t *testing.T) {
	t.Parallel()
	w := open(t, stillThere)
	w.perform()
	r := orphaned(w)
	if wait := w.waits("announced"); wait != time.Minute {
		t.Errorf("the end of the announcement is waited for %s", wait)
	}
	urls := r.announceURLs()
	if len(urls) != 1 || !strings.HasPrefix(urls[0], public+"/twilio/announce/"+account+"/"+r.key.ConferenceSid+"/") {
		t.Fatalf("Twilio was given %q", urls)
	}
	if got := r.writes()[0].Get("AnnounceMethod"); got != "POST" {
		t.Errorf("it is fetched by %s", got)
	}
	r.heard(urls[0], events.AnnouncementEnd)
	r.ends("announce done heard")
	r.wake(30 * time.Second)
	r.ends("announce done heard", "end done")
}

func TestAnAnnouncementThatFails(t *testing.T) {
	t.Parallel()
	w := open(t, stillThere)
	w.perform()
	r := orphaned(w)
	w.waits("announced")
	r.heard(r.announceURLs()[0], events.AnnouncementFail)
	r.ends("announce failed announcement")
}

// No callback reports its end: after a minute the outcome is unknown. A later
// callback makes it done.
func TestAnAnnouncementWithoutACallbackIsUnknown(t *testing.T) {
	t.Parallel()
	w := open(t, stillThere)
	w.perform()
	r := orphaned(w)
	w.clock.advance(w.waits("announced"))
	r.ends("announce unknown unheard")
	r.heard(r.announceURLs()[0], events.AnnouncementEnd)
	r.ends("announce unknown unheard", "announce done heard")
	if got := r.record().Actions[0].Outcome.Result; got != events.Done {
		t.Errorf("the record is %s", got)
	}
}

// Twilio also reports the announcements of others.
func TestAnnouncementsOfOthersArePassedOver(t *testing.T) {
	t.Parallel()
	w := open(t, stillThere)
	w.perform()
	r := orphaned(w)
	w.waits("announced")
	ours := r.announceURLs()[0]
	other := w.enter("other", "agent", "customer")
	other.heard(ours, events.AnnouncementEnd) // of another conference
	r.heard("https://elsewhere.example/hello.mp3", events.AnnouncementEnd)
	r.heard("not an address", events.AnnouncementEnd)
	r.heard(ours, events.AnnouncementEnd)
	r.ends("announce done heard")
	if got := other.kinds(); slices.Contains(got, "outcome") {
		t.Errorf("the other room has %q", got)
	}
}

func TestAnAnnouncementToOneParticipant(t *testing.T) {
	t.Parallel()
	w := open(t, `
rules:
  - name: hello
    each: participant
    when: conference.status == "in-progress" && participant.label == "customer"
    do:
      - announce: {say: "Hello", to: participant}
    mode: live
`)
	w.perform()
	r := w.enter("support", "agent", "customer")
	w.waits("announced")
	if got, want := r.writes()[0].Get("path"), "/Participants/"+r.legs["customer"]+".json"; !strings.HasSuffix(got, want) {
		t.Errorf("it was played to %s, want %s", got, want)
	}
}

// Twilio refuses an announcement, and then its state cannot be fetched either: it is not asked again.
func TestARefusalIsFinal(t *testing.T) {
	t.Parallel()
	w := open(t, everything)
	w.fake.SetWeather(twiliofake.Weather{On: []twiliofake.Call{twiliofake.Announcement}, Status: http.StatusBadRequest})
	w.afterWrite = func(int) { w.fake.SetWeather(twiliofake.Weather{Status: http.StatusServiceUnavailable}) }
	w.perform()
	r := w.enter("announce-1", "agent", "customer")
	r.ends("announce failed")
	if got := len(w.writes()); got != 1 {
		t.Errorf("Twilio was asked %d times", got)
	}
}
