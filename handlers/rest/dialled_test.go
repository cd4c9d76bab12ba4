package rest_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/internal/twilio/twiliofake"
	"gavel/projections"
)

// projects folds the entries of the journal about the conference into the picture, as the projector does.
func (f *floor) projects() {
	f.Helper()
	key := events.Key{AccountSid: account, ConferenceSid: f.conference}
	stored, err := f.store.Conference(f.Context(), key)
	if err != nil {
		f.Fatal(err)
	}
	before, after := stored.Conference, stored.Conference
	err = f.bus.Journal().Read(f.Context(), 0, 1, math.MaxUint64, func(g events.Group) error {
		return g.Split(func(_ int, e events.Entry) error {
			event, err := events.Parse(e)
			if err != nil || event.Key() != key {
				return err
			}
			after, _, err = projections.Fold(after, &event)
			return err
		})
	})
	if err != nil {
		f.Fatal(err)
	}
	book := stored.Book
	book.Version++
	if err := f.store.Save(f.Context(), 0, []projections.Write{{Before: before, After: after, Expect: stored.Book.Version, Book: book}}); err != nil {
		f.Fatal(err)
	}
}

// later gives the API a clock that only the test moves.
func (f *floor) later() (moves func(time.Duration)) {
	var passed atomic.Int64
	opened := time.Date(2026, 8, 3, 9, 1, 0, 0, time.UTC)
	f.config.Now = func() time.Time { return opened.Add(time.Duration(passed.Load())) }
	f.serve(f.store)
	return func(d time.Duration) { passed.Add(int64(d)) }
}

// participant is what the API answers about a leg of the conference.
func (f *floor) participant(name string) (status int, body map[string]any) {
	f.Helper()
	a := f.get(f.within("/Participants/" + name + ".json"))
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		f.Fatal(err)
	}
	return a.status, body
}

// listed are the CallSids and statuses that the API lists.
func (f *floor) listed(query string) (all []string) {
	f.Helper()
	for _, p := range f.list(f.within("/Participants.json" + query)).Participants {
		all = append(all, p.CallSid+" "+p.Status)
	}
	return all
}

func TestALegIsListedWhileItIsDialled(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	passes := f.later()
	form := "From=%2B15005550006&To=%2B15005550009&Label=boss&Muted=true&Coaching=true&Timeout=20&CallSidToCoach=" + f.agent
	made := f.post(f.within("/Participants.json"), form)
	var answer map[string]any
	if err := json.Unmarshal([]byte(made.body), &answer); err != nil || made.status != http.StatusCreated {
		t.Fatalf("%d %s", made.status, made.body)
	}
	sid := fmt.Sprint(answer["call_sid"])
	f.projects()
	if diff := cmp.Diff([]string{sid + " queued", f.agent + " connected"}, f.listed("")); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
	answer["queue_time"], answer["date_created"], answer["date_updated"] = nil, nil, nil // Gavel's clock, and Twilio says the first once
	for _, name := range []string{sid, "boss"} {
		status, body := f.participant(name)
		body["date_created"], body["date_updated"] = nil, nil
		if diff := cmp.Diff(answer, body); diff != "" || status != http.StatusOK {
			t.Errorf("%s: %d (-Twilio's answer +Gavel's):\n%s", name, status, diff)
		}
	}
	if got := f.listed("?Muted=false"); len(got) != 1 || strings.HasPrefix(got[0], sid) {
		t.Errorf("not muted: %q", got)
	}
	passes(24 * time.Second)
	if got := f.listed(""); len(got) != 2 {
		t.Errorf("after 24 s: %q", got)
	}
	passes(2 * time.Second)
	if got := f.listed("?GavelHistory=true"); len(got) != 1 {
		t.Errorf("after the 20 s of its Timeout and 5 s more: %q", got)
	}
	if status, _ := f.participant("boss"); status != http.StatusNotFound {
		t.Errorf("it is answered with %d", status)
	}
}

// A write about a leg that is dialled names its CallSid in the journal, and a removed leg is not listed.
func TestADialledLegCanBeRemovedByItsLabel(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	f.post(f.within("/Participants.json"), "From=%2B15005550006&To=%2B15005550009&Label=boss")
	f.projects()
	if got := f.listed(""); len(got) != 2 {
		t.Fatalf("listed: %q", got)
	}
	if a := f.send(f.request(http.MethodDelete, accounts+account+f.within("/Participants/boss.json"), account, token, "")); a.status != http.StatusNoContent {
		t.Fatalf("%d %s", a.status, a.body)
	}
	f.projects()
	if got := f.listed(""); len(got) != 1 {
		t.Errorf("after its removal: %q", got)
	}
}

// What Twilio answers about a leg that still rings is shown, and the leg rings for as long as before.
func TestAWriteToALegThatRingsIsShown(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	passes := f.later()
	f.post(f.within("/Participants.json"), "From=%2B15005550006&To=%2B15005550009&Label=boss&Timeout=20")
	f.projects()
	passes(10 * time.Second)
	if a := f.post(f.within("/Participants/boss.json"), "Muted=true&Hold=true"); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	passes(300 * time.Millisecond)
	f.post(f.within("/Participants/boss.json"), "Hold=false") // within the same second
	f.projects()
	if status, body := f.participant("boss"); status != http.StatusOK || body["muted"] != true || body["hold"] != false {
		t.Errorf("%d: it is shown as %v", status, body)
	}
	if got := f.listed(""); len(got) != 2 {
		t.Errorf("listed: %q", got)
	}
	passes(16 * time.Second)
	if got := f.listed(""); len(got) != 1 {
		t.Errorf("after its Timeout: %q", got)
	}
}

// opens adds a leg to a conference that does not exist yet, and returns its CallSid. It is the floor's
// conference from then on.
func (f *floor) opens(path string) (callSid string) {
	f.Helper()
	made := f.post(path, "From=%2B15005550006&To=%2B15005550009")
	var answer struct {
		CallSid       string `json:"call_sid"`
		ConferenceSid string `json:"conference_sid"`
	}
	if err := json.Unmarshal([]byte(made.body), &answer); err != nil {
		f.Fatal(err)
	}
	f.conference = answer.ConferenceSid
	return answer.CallSid
}

// A write follows the 201 so quickly that the picture has neither the leg nor its room.
func TestAWriteRightAfterALegWasAddedIsShown(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	callSid := f.opens("/Conferences/new/Participants.json")
	f.post(f.within("/Participants/"+callSid+".json"), "Muted=true")
	f.arrive(&projections.Conference{AccountSid: account, ConferenceSid: f.conference})
	f.projects()
	if status, body := f.participant(callSid); status != http.StatusOK || body["muted"] != true {
		t.Errorf("%d: it is shown as %v", status, body)
	}
}

// A client holds a leg and releases it within one second, and no callback comes.
func TestTheLaterOfTwoWritesWithinASecondCounts(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	f.later() // its clock stands still
	path := f.within("/Participants/" + f.agent + ".json")
	f.post(path, "Hold=true")
	f.post(path, "Hold=false") // the picture does not have the first one yet
	f.projects()
	if _, body := f.participant(f.agent); body["hold"] != false {
		t.Errorf("it is shown as %v", body)
	}
}

// A request that names the room creates the conference at Twilio, and here.
func TestALegThatOpensARoomIsListed(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	callSid := f.opens("/Conferences/new%2Froom%205/Participants.json")
	f.arrive(&projections.Conference{AccountSid: account, ConferenceSid: f.conference})
	f.projects()
	if got := f.listed(""); len(got) != 1 || got[0] != callSid+" queued" {
		t.Errorf("listed: %q", got)
	}
	var conference struct {
		FriendlyName string `json:"friendly_name"`
	}
	if err := json.Unmarshal([]byte(f.get(f.within(".json")).body), &conference); err != nil || conference.FriendlyName != "new/room 5" {
		t.Errorf("the room is %q, %v", conference.FriendlyName, err)
	}
}

// A request that Twilio refuses leads to no leg.
func TestARefusedLegIsNotListed(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	f.fake.SetWeather(twiliofake.Weather{Status: http.StatusTooManyRequests})
	f.post(f.within("/Participants.json"), "From=%2B15005550006&To=%2B15005550009")
	f.projects()
	if got := f.listed(""); len(got) != 1 {
		t.Errorf("listed: %q", got)
	}
}

func TestTheCoachedLegIsThatOfTwiliosAnswer(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	passes := f.later()
	path := f.within("/Participants/" + f.agent + ".json")
	if a := f.post(path, "Coaching=true&CallSidToCoach="+f.customer); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	f.projects()
	if _, body := f.participant(f.agent); body["call_sid_to_coach"] != f.customer || body["coaching"] != true {
		t.Errorf("it is shown as %v", body)
	}
	passes(2 * time.Second)
	f.post(path, "Coaching=false")
	f.projects()
	if _, body := f.participant(f.agent); body["call_sid_to_coach"] != nil || body["coaching"] != false {
		t.Errorf("after the end it is shown as %v", body)
	}
}
