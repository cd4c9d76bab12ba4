package events_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"

	"gavel/events"
)

const apiKey = "SK0123456789abcdef0123456789abcdef"

// kick is a write with something in every field.
func kick() events.Action {
	return events.Action{
		ID: ulid, Do: events.DoKick, AccountSid: account, ConferenceSid: conference, CallSid: call,
		RecordingSid: recording, Asked: "Muted=true", Actor: events.Actor{Sid: apiKey, Name: "kate & co, 北京"},
		At: time.Date(2026, 8, 3, 9, 15, 2, 0, time.UTC),
	}
}

func refusal() events.Outcome {
	return events.Outcome{Result: events.Failed, Status: 404, Code: 20404, At: time.Date(2026, 8, 3, 9, 15, 3, 0, time.UTC)}
}

func read(t *testing.T, e events.Entry) events.Event {
	t.Helper()
	got, err := events.Parse(e)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestAnActionComesBackAsItWent(t *testing.T) {
	t.Parallel()
	intent, outcome := read(t, events.NewIntent(kick())), read(t, events.NewOutcome(kick(), refusal()))
	for _, e := range []events.Event{intent, outcome} {
		got, err := e.Action()
		if diff := cmp.Diff(kick(), got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", e.Kind, err, diff)
		}
		if e.Key() != (events.Key{AccountSid: account, ConferenceSid: conference}) ||
			e.CallSid != call || e.RecordingSid != recording || e.SequenceNumber != events.NoSequence {
			t.Errorf("%s is about something else: %+v", e.Kind, e)
		}
	}
	if intent.ID != "intent-"+ulid || outcome.ID != "outcome-"+ulid {
		t.Errorf("ids are %s and %s", intent.ID, outcome.ID)
	}
	if !intent.ReceivedAt.Equal(kick().At) || !outcome.ReceivedAt.Equal(refusal().At) {
		t.Errorf("received at %s and %s", intent.ReceivedAt, outcome.ReceivedAt)
	}
	got, err := outcome.Outcome()
	if diff := cmp.Diff(refusal(), got); err != nil || diff != "" {
		t.Errorf("outcome: %v\n%s", err, diff)
	}
}

func TestAnActionOnARoomByItsNameHasNoConference(t *testing.T) {
	t.Parallel()
	a := kick()
	a.ConferenceSid, a.CallSid, a.RecordingSid = "", "", ""
	e := read(t, events.NewIntent(a))
	if e.ConferenceSid != "" || e.AccountSid != account {
		t.Errorf("got %+v", e.Key())
	}
}

func TestAnActionSurvivesWhatPeopleCallThemselves(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":             "",
		"a\x00b\n\xff": "ab\ufffd",
		strings.Repeat("é", events.MaxActorName):       strings.Repeat("é", events.MaxActorName/2),
		"x" + strings.Repeat("é", events.MaxActorName): "x" + strings.Repeat("é", events.MaxActorName/2-1),
	} {
		a := kick()
		a.Actor.Name = name
		e := read(t, events.NewIntent(a))
		if got, _ := e.Action(); got.Actor.Name != want {
			t.Errorf("%q became %q", name, got.Actor.Name)
		}
	}
}

// Numbers, names, labels and URLs that callers of Twilio's API fill in never reach the journal.
func TestOnlyFixedFormsAreKept(t *testing.T) {
	t.Parallel()
	for form, want := range map[string]string{
		"":                  "",
		"%zz":               "",
		"Status=completed":  "Status=completed",
		"Status=4155550100": "",
		"Muted=true&HoldUrl=https%3A%2F%2Fa.example&HoldMethod=GET":                                        "Muted=true&HoldMethod=GET",
		"From=%2B14155550100&To=sip%3Aann%40a.example&Label=ann&SipAuthPassword=true&Beep=onEnter":         "Beep=onEnter",
		"ConferenceStatusCallbackEvent=start+end&StatusCallbackEvent=ringing&StatusCallbackEvent=answered": "ConferenceStatusCallbackEvent=start+end&StatusCallbackEvent=ringing&StatusCallbackEvent=answered",
		"Muted=": "",
		strings.TrimSuffix(strings.Repeat("ConferenceRecordingStatusCallbackEvent=announcement&", events.MaxParams), "&"): "",
	} {
		got := events.FixedForm(form)
		if got != want {
			t.Errorf("%.100s is kept as %s", form, got)
		}
		a := kick()
		a.Asked = form
		e := read(t, events.NewIntent(a))
		if a, _ := e.Action(); a.Asked != want {
			t.Errorf("%.100s is in the journal as %s", form, a.Asked)
		}
	}
}

func TestEntriesOfActionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, field, value string }{
		{"no ULID", "Id", "7"},
		{"no account", "AccountSid", "-"},
		{"a conference that is none", "ConferenceSid", call},
		{"a call that is none", "CallSid", conference},
		{"a recording that is none", "RecordingSid", "Twilio.CURRENT"},
		{"no action", "Do", "-"},
		{"an action of nobody", "Do", "reboot"},
		{"a number asked for", "Asked", "To=%2B14155550100"},
		{"nobody", "ActorSid", "-"},
		{"an actor of another kind", "ActorSid", call},
		{"a name without end", "ActorName", strings.Repeat("x", events.MaxActorName+1)},
		{"no time", "AskedAt", "-"},
		{"a part of a second", "AskedAt", "2026-08-03T09:15:02.5Z"},
		{"before there was Twilio", "AskedAt", "0001-01-01T00:00:00Z"},
		{"no result", "Result", "-"},
		{"a result of nobody", "Result", "perhaps"},
		{"no HTTP status", "Status", "600"},
		{"a code that is none", "Code", "-1"},
		{"no time of the answer", "AnsweredAt", "soon"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := events.Parse(entry(events.SourceGavel, changed(t, "own/gavel-outcome.form", c.field, c.value)))
			wantFault(t, err, c.field)
			if len(c.value) > 3 && strings.Contains(err.Error(), c.value) {
				t.Errorf("the error holds the value: %v", err)
			}
		})
	}
}

func TestSubscribersReadWhoAskedAndWhatCameOfIt(t *testing.T) {
	t.Parallel()
	fact := read(t, events.NewOutcome(kick(), refusal()))
	var e cloudevents.Event
	if err := json.Unmarshal(events.AppendCloudEvent(nil, &fact, false, []byte(`null`)), &e); err != nil {
		t.Fatal(err)
	}
	var data map[string]any
	if err := errors.Join(e.Validate(), e.DataAs(&data)); err != nil {
		t.Fatal(err)
	}
	if e.Type() != "gavel.gavel-outcome.v1" || e.Subject() != call || !e.Time().Equal(refusal().At) {
		t.Errorf("the CloudEvent has type %s, subject %s, time %s", e.Type(), e.Subject(), e.Time())
	}
	for name, want := range map[string]any{
		"Do": "kick", "ActorSid": apiKey, "ActorName": "kate & co, 北京", "Result": "failed", "Status": "404",
		"Code": "20404", "AskedAt": "2026-08-03T09:15:02Z", "AnsweredAt": "2026-08-03T09:15:03Z",
	} {
		if data[name] != want {
			t.Errorf("%s is %v, want %v", name, data[name], want)
		}
	}
}

func TestActionsReadLikeSentences(t *testing.T) {
	t.Parallel()
	a := kick()
	a.Asked = ""
	mute, unnamed := a, a
	mute.Do, mute.Asked = events.DoUpdateParticipant, "Muted=true&Hold=false"
	unnamed.Do, unnamed.Asked, unnamed.Actor.Name = events.DoEnd, "Status=completed", ""
	for got, want := range map[string]string{
		a.Words():       "kate & co, 北京 (" + apiKey + ") asked Twilio to remove a participant",
		mute.Words():    "kate & co, 北京 (" + apiKey + ") asked Twilio to change a participant: Muted=true, Hold=false",
		unnamed.Words(): apiKey + " asked Twilio to end it",
		events.Outcome{Result: events.Done, Status: 204}.Words(events.DoEnd):     "Twilio did so",
		events.Outcome{Result: events.Failed, Status: 429}.Words(events.DoEnd):   "Twilio refused: 429",
		refusal().Words(events.DoEnd):                                            "Twilio refused: 404/20404",
		events.Outcome{Result: events.Unknown, Status: 503}.Words(events.DoEnd):  "Twilio failed, it may have happened: 503",
		events.Outcome{Result: events.Failed}.Words(events.DoEnd):                "it was never sent to Twilio",
		events.Outcome{Result: events.Unknown}.Words(events.DoEnd):               "no answer, it may have happened",
		events.Outcome{Result: events.Done, Status: 204}.Words(events.DoWebhook): "the receiver did so",
	} {
		if got != want {
			t.Errorf("reads %q, want %q", got, want)
		}
	}
}

func TestIDsOfOurOwnAreOfTheirForm(t *testing.T) {
	t.Parallel()
	a, b := kick(), kick()
	a.ID, b.ID = events.NewULID(), events.NewULID()
	if read(t, events.NewIntent(a)).ID == read(t, events.NewIntent(b)).ID {
		t.Error("two actions share an id")
	}
}

// For every request and actor, the entry can be read again and keeps
// nothing that is not on the lists.
func FuzzAction(f *testing.F) {
	f.Add("Status=completed&To=%2B14155550100", "kate", 404)
	f.Add("%", "\xff", -1)
	f.Add("StatusCallbackEvent=ringing+answered&Muted=true&Muted=false", "", 0)
	f.Add(strings.TrimSuffix(strings.Repeat("Beep=true&", events.MaxParams+1), "&"), "", 0)
	f.Fuzz(func(t *testing.T, asked, name string, status int) {
		a, o := kick(), refusal()
		a.Asked, a.Actor.Name, o.Status = asked, name, min(max(status, 0), 599)
		e, err := events.Parse(events.NewOutcome(a, o))
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Action()
		if err != nil || events.FixedForm(got.Asked) != got.Asked || len(got.Actor.Name) > events.MaxActorName {
			t.Fatalf("came back as %+v, %v", got, err)
		}
		if values, err := url.ParseQuery(got.Asked); err != nil || values.Has("To") {
			t.Fatalf("kept %q, %v", got.Asked, err)
		}
		_, err = events.Parse(entry(events.SourceGavel, changed(t, "own/gavel-outcome.form", "Asked", asked)))
		if fixed := events.FixedForm(asked) == asked; asked != "-" && fixed != (err == nil) {
			t.Fatalf("%q is kept as it is: %t; read: %v", asked, fixed, err)
		}
	})
}
