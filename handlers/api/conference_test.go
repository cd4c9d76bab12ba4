package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/handlers/api"
	"gavel/projections"
	"gavel/views"
)

var update = flag.Bool("update", false, "write the golden files anew")

// story is a conference with a bit of everything.
func story() *projections.Conference {
	c := completed(room(account, 1, "support|103 & co", at("09:00:00")))
	c.Seen = projections.Ranges{{0, 3}, {6, 9}}
	c.AnnouncementsEnded, c.AnnouncementsFailed = projections.Ranges{{2, 3}}, projections.Ranges{{7, 7}}
	on := func(seq int64, clock string) projections.Turn {
		return projections.Turn{Seq: seq, At: at(clock), On: true}
	}
	off := func(seq int64, clock string) projections.Turn { return projections.Turn{Seq: seq, At: at(clock)} }
	c.Participants = []*projections.Participant{
		{
			CallSid: sid("CA", 1), Created: at("09:00:00"), Updated: at("09:10:10"),
			Label:   projections.Stated[string]{Value: "agent"},
			Flags:   projections.Stated[projections.Flags]{Value: projections.Flags{StartConferenceOnEnter: true, EndConferenceOnExit: true}},
			Present: []projections.Turn{on(0, "09:00:00"), off(9, "09:10:10")}, Last: off(9, "09:10:10"),
			Left: &projections.Leaving{Reason: "participant_hung_up", CallStatus: "completed"},
		},
		{
			CallSid: sid("CA", 2), Created: at("09:00:05"), Updated: at("09:05:00"),
			Flags:   projections.Stated[projections.Flags]{Value: projections.Flags{Hold: true, Muted: true, Coaching: true}},
			Present: []projections.Turn{on(1, "09:00:05"), off(2, "09:01:00"), on(3, "09:02:00")},
			Held:    []projections.Turn{on(6, "09:05:00")}, Muted: []projections.Turn{on(3, "09:02:00"), off(6, "09:05:00")},
			Last: on(6, "09:05:00"),
		},
	}
	c.Recordings = []*projections.Recording{
		{Sid: sid("RE", 1), StartedAt: at("09:00:06"), Duration: 600, Channels: 1, Statuses: []string{"completed"}, URL: "https://example.com/RE"},
		{Sid: sid("RE", 2), Duration: -1, Statuses: []string{"in-progress"}, ErrorCode: "1"},
	}
	kate := events.Actor{Sid: sid("SK", 7), Name: "kate"}
	c.Actions = []*projections.ActionRecord{
		{
			ID: "01J00000000000000000000001", Do: events.DoUpdateParticipant, CallSid: sid("CA", 2), Asked: "Muted=true",
			Actor: kate, At: at("09:02:00"), Intent: true,
			Outcome: &projections.ActionResult{Result: events.Failed, Status: 404, Code: 20404, At: at("09:02:01")},
		},
		{ID: "01J00000000000000000000002", Do: events.DoUpdateRecording, RecordingSid: sid("RE", 1), Actor: kate, At: at("09:03:00"), Intent: true},
	}
	return c
}

// The golden file is the contract of the command line and of scripts.
func TestOneConferenceIsShownCompletely(t *testing.T) {
	t.Parallel()
	s := start(t, []*projections.Conference{story()})
	a := s.get("conferences/" + sid("CF", 1))
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, []byte(a.body), "", "  "); err != nil {
		t.Fatal(err)
	}
	const path = "testdata/conference.json"
	if *update {
		if err := os.WriteFile(path, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), pretty.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAConferenceIsFoundBySidAndByName(t *testing.T) {
	t.Parallel()
	s := start(t, []*projections.Conference{
		story(),
		room(account, 2, "sales", at("09:00:00")),
		room(account, 3, "sales", at("10:00:00")),
		room(other, 4, "sales", at("11:00:00")),
		room(other, 5, "a/b?c", at("11:00:00")),
	})
	mine := s.key(account)
	for name, c := range map[string]struct {
		who  credentials
		path string
		want string
	}{
		"by SID":                      {s.all, sid("CF", 4), sid("CF", 4)},
		"by SID in capitals":          {s.all, strings.ToUpper(sid("CF", 4)), sid("CF", 4)},
		"by name, the newest of mine": {mine, "sales", sid("CF", 3)},
		"by name in one account":      {s.all, "sales?account=" + account, sid("CF", 3)},
		"by a name to be escaped":     {s.all, url.PathEscape("support|103 & co"), sid("CF", 1)},
		"by a name with a slash":      {s.all, url.PathEscape("a/b?c"), sid("CF", 5)},
		"a foreign SID":               {mine, sid("CF", 4), ""},
		"a foreign name":              {mine, url.PathEscape("a/b?c"), ""},
		"a foreign account":           {mine, sid("CF", 4) + "?account=" + other, ""},
		"no such SID":                 {s.all, sid("CF", 9), ""},
		"no such name":                {s.all, "marketing", ""},
	} {
		a := s.as(c.who, http.MethodGet, "conferences/"+c.path, "")
		if c.want == "" {
			if a.status != http.StatusNotFound {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
			continue
		}
		if got := read[views.Record](t, a); got.Sid != c.want {
			t.Errorf("%s: %s, want %s", name, got.Sid, c.want)
		}
	}
}

func TestALookUpByNamePrefersTheLiveConference(t *testing.T) {
	t.Parallel()
	s := start(t, []*projections.Conference{
		room(account, 1, "sales", at("09:00:00")),
		completed(room(account, 2, "sales", at("09:00:00"))), // in the same second; lists have it first
		completed(room(account, 3, "sales", at("10:00:00"))),
	})
	if got := read[views.Record](t, s.get("conferences/sales")); got.Sid != sid("CF", 1) {
		t.Errorf("found %s, want the live one", got.Sid)
	}
}

func TestANameInTwoAccountsIsNotGuessed(t *testing.T) {
	t.Parallel()
	l := openLaw(t, twoRules)
	s := start(t, []*projections.Conference{
		room(account, 1, "sales", at("09:00:00")), room(other, 2, "sales", at("10:00:00")),
	}, l.rule)
	exempt := `{"for":"30m","reason":"the board is in there"}`
	for _, a := range []answer{
		s.get("conferences/sales"), s.get("conferences/sales/timeline"), s.get("decisions?conference=sales"),
		s.as(s.all, http.MethodPost, "conferences/sales/exempt", exempt),
	} {
		if a.status != http.StatusConflict || !strings.Contains(a.body, account) || !strings.Contains(a.body, other) || !strings.Contains(a.body, "--account") {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if all := l.journal(t); len(all) != 0 {
		t.Errorf("the journal has %+v", all)
	}
	if a := s.as(s.all, http.MethodPost, "conferences/sales/exempt?account="+other, exempt); a.status != http.StatusCreated {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestASilentConferenceIsStale(t *testing.T) {
	t.Parallel()
	fresh, silent := room(account, 1, "fresh", at("08:00:00")), room(account, 2, "silent", at("07:59:00"))
	over := completed(room(account, 3, "over", at("01:00:00")))
	s := start(t, []*projections.Conference{fresh, silent, over}) // it is noon
	for _, c := range read[api.Conferences](t, s.get("conferences")).Conferences {
		if stale := c.StaleSince != nil; stale != (c.FriendlyName == "silent") {
			t.Errorf("%s: stale since %v", c.FriendlyName, c.StaleSince)
		}
	}
}

func TestTimelineIsInTheOrderOfWhatHappened(t *testing.T) {
	t.Parallel()
	facts := []events.News{
		fact(account, 1, events.ParticipantJoin, "1", 10),
		fact(account, 1, events.ConferenceEnd, "12", 11),
		fact(account, 1, "recording-completed", "", 12), // after the end, for all that is known
		fact(account, 2, events.ParticipantJoin, "1", 13),
		fact(other, 1, events.ParticipantJoin, "1", 13),
		fact(account, 1, events.ParticipantLeave, "9", 14), // late
		fact(account, 1, events.ParticipantMute, "2", 15),
	}
	s := start(t, []*projections.Conference{story()}, withNews(t, facts...))
	body := read[api.TimelineBody](t, s.get("conferences/"+sid("CF", 1)+"/timeline"))
	var got []string
	for _, f := range body.Facts {
		var e struct{ Type string }
		if err := json.Unmarshal(f.Event, &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, f.Position+" "+e.Type)
	}
	want := []string{
		"10.0 gavel.participant-join.v1", "15.0 gavel.participant-mute.v1", "14.0 gavel.participant-leave.v1",
		"11.0 gavel.conference-end.v1", "12.0 gavel.recording-completed.v1",
	}
	if !slices.Equal(got, want) || body.Truncated || body.Conference.Sid != sid("CF", 1) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if body.Facts[0].Sequence != 1 || body.Facts[1].Sequence != 7 {
		t.Errorf("stream sequences %d, %d", body.Facts[0].Sequence, body.Facts[1].Sequence)
	}
	for _, path := range []string{sid("CF", 2), "nobody"} {
		if a := s.get("conferences/" + path + "/timeline"); a.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}
