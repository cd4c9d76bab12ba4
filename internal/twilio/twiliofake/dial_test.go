package twiliofake_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/internal/twilio/twiliofake"
)

// phonebook returns phones for numbers of the range reserved for fiction.
func phonebook(to string) twiliofake.Phone {
	switch to {
	case "+14155550101":
		return twiliofake.Phone{Queued: time.Second, Ringing: 3 * time.Second, Fails: "busy"}
	case "+14155550102":
		return twiliofake.Phone{Queued: time.Second, Ringing: time.Hour}
	}
	return twiliofake.Phone{Queued: time.Second, Ringing: 3 * time.Second}
}

const (
	willing = "+14155550100"
	busy    = "+14155550101"
	asleep  = "+14155550102"
)

// calls adds a participant by REST, with the callbacks that Gavel subscribes to.
func (x *exchange) calls(room, to string, more ...string) reply {
	x.t.Helper()
	form := append([]string{
		"From", "+14155550199", "To", to, "ConferenceStatusCallback", hooks + "conference",
		"ConferenceStatusCallbackEvent", "join leave", "ConferenceStatusCallbackEvent", "start", "ConferenceStatusCallbackEvent", "end",
	}, more...)
	return x.do("POST", "Conferences/"+room+"/Participants.json", form...)
}

func TestACalledParticipantRingsAndAnswers(t *testing.T) {
	t.Parallel()
	x := opens(t, func(c *twiliofake.Config) { c.Phone = phonebook })
	made := x.calls("support%20%2F%201", willing, "Label", "customer", "Muted", "true", "EndConferenceOnExit", "true")
	sid, call := made.body["conference_sid"].(string), made.body["call_sid"].(string)
	want := map[string]any{
		"account_sid": account, "call_sid": call, "call_sid_to_coach": nil, "coaching": false, "conference_sid": sid,
		"date_created": "Mon, 03 Aug 2026 09:00:00 +0000", "date_updated": "Mon, 03 Aug 2026 09:00:00 +0000",
		"end_conference_on_exit": true, "hold": false, "label": "customer", "muted": true, "queue_time": "0",
		"start_conference_on_enter": true, "status": "queued",
		"uri": "/2010-04-01/Accounts/" + account + "/Conferences/" + sid + "/Participants/" + call + ".json",
	}
	if diff := cmp.Diff(want, made.body); diff != "" || made.status != 201 {
		t.Errorf("%d (-want +got):\n%s", made.status, diff)
	}
	if room := x.do("GET", "Conferences/"+sid+".json"); room.body["friendly_name"] != "support / 1" {
		t.Errorf("the room is %v", room.body)
	}
	second := x.calls(sid, willing, "Label", "agent")
	if second.body["conference_sid"] != sid {
		t.Errorf("the second one joined %v", second.body)
	}
	x.settles(10 * time.Second)
	if got := x.do("GET", "Conferences/"+sid+"/Participants/agent.json"); got.body["status"] != "connected" || got.body["queue_time"] != nil {
		t.Errorf("after the answer: %v", got.body)
	}
	if diff := cmp.Diff([]string{"participant-join customer", "participant-join agent", "conference-start"}, x.callbacks(sid)); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

// On a clock that is moved by hand the states can be read as they pass.
func TestACallsStatesPassInOrder(t *testing.T) {
	t.Parallel()
	clock := newHandClock()
	x := opens(t, func(c *twiliofake.Config) { c.Phone, c.Clock = phonebook, clock })
	made := x.calls("support-1", willing, "EarlyMedia", "false")
	path := "Conferences/" + made.body["conference_sid"].(string) + "/Participants/" + made.body["call_sid"].(string) + ".json"
	for _, want := range []string{"queued", "ringing", "connected"} {
		eventually(t, func() bool { return x.do("GET", path).body["status"] == want })
		clock.passes(3 * time.Second)
	}
}

func TestLegsThatDoNotAnswerLeaveAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		to, early string
		want      []string
		status    string
	}{
		"busy, early media": {busy, "true", []string{"participant-leave", "conference-end"}, "busy"},
		"busy":              {busy, "false", []string{"participant-leave", "conference-end"}, "busy"},
		"rings in silence":  {asleep, "false", []string{"participant-leave", "conference-end"}, "no-answer"},
		"rings too long":    {asleep, "true", []string{"participant-join", "participant-leave", "conference-end"}, "no-answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := opens(t, func(config *twiliofake.Config) { config.Phone = phonebook })
			sid := x.calls("support-1", c.to, "EarlyMedia", c.early, "Timeout", "20", "EndConferenceOnExit", "true").body["conference_sid"].(string)
			x.settles(time.Minute)
			if diff := cmp.Diff(c.want, x.callbacks(sid)); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
			if got := x.do("GET", "Conferences/"+sid+".json"); got.body["status"] != "completed" || got.body["reason_conference_ended"] != "last-participant-left" {
				t.Errorf("the conference is %v", got.body)
			}
			if leave := x.last("participant-leave"); leave.Get("ParticipantCallStatus") != c.status || leave.Get("ReasonParticipantLeft") != "participant_add_failed" {
				t.Errorf("sent %v", leave)
			}
		})
	}
}

func TestATimeLimitEndsTheCall(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	sid := x.calls("support-1", willing, "TimeLimit", "60").body["conference_sid"].(string)
	x.settles(2 * time.Minute)
	if got := x.callbacks(sid); len(got) != 3 || got[2] != "conference-end" {
		t.Errorf("sent %v", got)
	}
}

func TestInvalidCallsAreRefused(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	sid := x.calls("small", willing, "MaxParticipants", "2", "Label", "kate").body["conference_sid"].(string)
	over, _, _ := x.talk("over")
	x.do("POST", "Conferences/"+over+".json", "Status", "completed")
	for name, c := range map[string]struct {
		room string
		form []string
		want int
	}{
		"missing To":             {"new", []string{"From", "+14155550199"}, 20001},
		"missing From":           {"new", []string{"To", willing}, 20001},
		"a label in use":         {sid, []string{"Label", "kate"}, 16026},
		"a label with a slash":   {sid, []string{"Label", "a/b"}, 16024},
		"a label with %2F":       {sid, []string{"Label", "a%2Fb"}, 16024},
		"a long label":           {sid, []string{"Label", strings.Repeat("é", 129)}, 16024},
		"a label like a SID":     {sid, []string{"Label", "CA00000000000000000000000000000000"}, 16024},
		"a completed one":        {over, nil, 16022},
		"an unknown one":         {lost, nil, 20404},
		"a long name":            {strings.Repeat("n", 129), nil, 20001},
		"too many participants":  {"new", []string{"MaxParticipants", "251"}, 20001},
		"a short timeout":        {"new", []string{"Timeout", "1"}, 20001},
		"coaching an absent leg": {"new", []string{"CallSidToCoach", "CA00000000000000000000000000000000"}, 13240},
	} {
		form := c.form
		if !strings.HasPrefix(name, "missing") {
			form = append([]string{"From", "+14155550199", "To", willing}, form...)
		}
		if got := x.do("POST", "Conferences/"+c.room+"/Participants.json", form...); got.code() != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := x.do("GET", "Conferences.json?FriendlyName=new"); len(got.items("conferences")) != 0 {
		t.Errorf("refused calls made conferences: %v", got.body)
	}
	if got := x.calls(sid, willing); got.status != 201 {
		t.Errorf("the second of two: %+v", got)
	}
	if got := x.calls(sid, willing); got.status != 400 || got.code() != 16020 {
		t.Errorf("the third of two: %+v", got)
	}
}

func TestALongLabelIsFoundByItsPath(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	for i, label := range []string{"a|b", "O'Brien <agent>", "50% ü 北京 😀", "+1 415 555 0100", "dot.json"} {
		sid := x.calls(fmt.Sprint("room-", i), willing, "Label", label).body["conference_sid"].(string)
		path := strings.NewReplacer("%", "%25", " ", "%20", "|", "%7C", "<", "%3C", ">", "%3E").Replace(label)
		if got := x.do("GET", "Conferences/"+sid+"/Participants/"+path+".json"); got.body["label"] != label {
			t.Errorf("%q: %+v", label, got)
		}
	}
}

func TestOnlyTheFirstLegSetsTheCallbacks(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	first := x.do("POST", "Conferences/support-1/Participants.json", "From", "+14155550199", "To", willing, "ConferenceStatusCallback", hooks+"conference")
	sid := first.body["conference_sid"].(string)
	x.calls(sid, willing)
	x.settles(10 * time.Second)
	x.do("POST", "Conferences/"+sid+".json", "Status", "completed")
	x.settles(0)
	if diff := cmp.Diff([]string{"conference-start", "conference-end"}, x.callbacks(sid)); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}
