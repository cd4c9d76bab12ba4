package callback_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/handlers/callback"
	"gavel/internal/twilio"
	"gavel/projections"
)

// twilioForms are the samples of every kind of event, by the name of the sample.
func twilioForms(t *testing.T) map[string]url.Values {
	t.Helper()
	paths, err := filepath.Glob("../../events/testdata/callbacks/*.form")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	forms := map[string]url.Values{}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		form, err := url.ParseQuery(strings.TrimSpace(string(raw)))
		if err != nil {
			t.Fatal(err)
		}
		form.Set("AccountSid", account)
		forms[strings.TrimSuffix(filepath.Base(path), ".form")] = form
	}
	return forms
}

// with returns a copy of the form with one more parameter, or another value of it.
func with(form url.Values, name, value string) url.Values {
	form = maps.Clone(form)
	form[name] = []string{value}
	return form
}

// values are a value of Twilio's for each documented parameter.
var values = map[string]string{
	"AccountSid": account, "ConferenceSid": conference, "FriendlyName": "Support 7", "SequenceNumber": "3",
	"Timestamp": "Thu, 14 Jan 2021 00:25:01 +0000", "StatusCallbackEvent": "participant-join", "CallSid": call,
	"Muted": "false", "Hold": "true", "Coaching": "false", "EndConferenceOnExit": "true", "StartConferenceOnEnter": "false",
	"ParticipantLabel": "agent", "CallSidEndingConference": call, "ParticipantLabelEndingConference": "agent",
	"ReasonConferenceEnded": "last-participant-left", "Reason": "Participant " + call + " left the conference",
	"ReasonAnnouncementFailed": "timeout", "AnnounceUrl": "https://example.com/a.mp3",
	"ParticipantCallStatus": "completed", "ReasonParticipantLeft": "participant_hung_up",
	"EventName": "conference-record-end", "Duration": "6", "RecordingFileSize": "90786",
	"RecordingSid": "RE0123456789abcdef0123456789abcdef", "RecordingUrl": "https://api.twilio.com/r",
	"RecordingStatus": "completed", "RecordingDuration": "6", "RecordingChannels": "2",
	"RecordingStartTime": "Tue, 24 Mar 2026 18:15:40 +0000", "RecordingSource": "StartConferenceRecordingAPI", "ErrorCode": "0",
}

// added are parameters that TaskRouter, Flex and applications add.
func added() url.Values {
	sid := call[2:]
	extra := url.Values{
		"CustomerCallSid": {call}, "TaskSid": {"WT" + sid}, "WorkspaceSid": {"WS" + sid}, "WorkerSid": {"WK" + sid},
		"ReservationSid": {"WR" + sid}, "EndConferenceOnCustomerExit": {"true"}, "BeepOnCustomerEntrance": {"false"},
		"StatusCallback": {"https://example.com/hook?x=1"}, "StatusCallbackEvents": {"start end join leave"},
		"TaskAttributes": {`{"from":"+15550100","Hold":"true"}`}, "WorkerName": {"kate@example.com"},
		"parentCallSid": {call}, "maxDuration": {"3600"}, "isOnHold": {"true"}, "lastReason": {"busy"}, "x": {""},
		strings.Repeat("l", 120): {strings.Repeat("long ", 200)},
	}
	for name, value := range values { // names that end in a known name
		extra.Set("my"+name, value)
		extra.Set(strings.Repeat("z", 128-len(name))+name, value)
	}
	return extra
}

// lookedFor are the documented parameters that the form lacks, that an event of its kind may have,
// and where in the order of names they would be: behind the name lower and before upper.
func lookedFor(form url.Values) (missing map[string][2]string) {
	kind := kindOf(form)
	var required []string
	for _, name := range events.DocumentedNames() {
		if must, _ := kind.MayHave(name); must {
			required = append(required, name)
		}
	}
	missing = map[string][2]string{}
	for _, name := range events.DocumentedNames() {
		if _, may := kind.MayHave(name); !may || form.Has(name) {
			continue
		}
		next, _ := slices.BinarySearch(required, name)
		gap := [2]string{"", "~"}
		if next > 0 {
			gap[0] = required[next-1]
		}
		if next < len(required) {
			gap[1] = required[next]
		}
		missing[name] = gap
	}
	return missing
}

func kindOf(form url.Values) events.Kind {
	switch {
	case form.Has("StatusCallbackEvent"):
		return events.Kind(form.Get("StatusCallbackEvent"))
	case form.Has("EventName"):
		return events.Kind(form.Get("EventName"))
	}
	return events.Kind("recording-" + form.Get("RecordingStatus"))
}

// Every kind of event with everything that is added to it is accepted, and reads back unchanged.
func TestEveryGenuineCallbackIsAcceptedAndReadsBackUnchanged(t *testing.T) {
	t.Parallel()
	var tried int
	for sample, form := range twilioForms(t) {
		t.Run(sample, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			missing := lookedFor(form)
			for name, list := range added() {
				// A parameter that would be the last of all by its name is looked for up to the end.
				if gap, ok := missing[strings.TrimLeft(strings.TrimPrefix(name, "my"), "z")]; ok && gap[1] == "~" {
					continue
				}
				w.wantKept(t, with(form, name, list[0]))
			}
			for name, value := range values { // a documented parameter that is not missing is text
				longer := strings.HasPrefix(name, "ParticipantLabel") && missing["ParticipantLabel"] != [2]string{}
				if _, ok := missing[name]; !ok && !longer && form.Has("FriendlyName") {
					w.wantKept(t, with(form, "FriendlyName", "Room "+name+value))
				}
			}
		})
		tried++
	}
	if tried < 20 {
		t.Errorf("%d samples, want one of every kind", tried)
	}
}

// wantKept sends the form by POST and by GET. Both are accepted, and the entries
// have the same parameters and reach a record.
func (w *world) wantKept(t *testing.T, form url.Values) {
	t.Helper()
	if status := w.post(t, callback.ConferencePath, form).StatusCode; status != http.StatusNoContent {
		t.Errorf("POST got %d, want 204: %v\n%s", status, w.letters.drain(), form.Encode())
	}
	target := callback.RecordingPath + "?" + form.Encode()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set(twilio.SignatureHeader, twilio.Sign(token, public+target, nil))
	if status := w.send(r).StatusCode; status != http.StatusNoContent {
		t.Errorf("GET got %d, want 204: %v\n%s", status, w.letters.drain(), form.Encode())
	}
	entries := w.journal.drain()
	if len(entries) != 2 {
		t.Fatalf("%d entries, want 2", len(entries))
	}
	for _, entry := range entries {
		event, err := events.ParseStored(entry)
		if err != nil {
			t.Fatal(err)
		}
		got := url.Values{}
		for _, p := range event.Params {
			got.Add(p.Name, p.Value)
		}
		if diff := cmp.Diff(form, got); diff != "" {
			t.Errorf("it reads back otherwise: %s", diff)
		}
		if c, fresh, err := projections.Fold(nil, &event); err != nil || !fresh || c == nil {
			t.Errorf("fold: fresh %v, %v: %s", fresh, err, form.Encode())
		}
	}
}

// The malformed corpus follows from the rule of the form check: a missing parameter that the kind
// may have, and a text at a place where it is looked for that has its name and a value.
func TestATextThatHoldsAMissingParameterIsRefused(t *testing.T) {
	t.Parallel()
	for sample, form := range twilioForms(t) {
		t.Run(sample, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for name := range values {
				if _, may := kindOf(form).MayHave(name); !may || name == "EventName" && form.Has(name) {
					continue
				}
				without := maps.Clone(form)
				delete(without, name)
				for _, bad := range hidden(without, name, lookedFor(without)[name]) {
					if status := w.post(t, callback.ConferencePath, bad).StatusCode; status != http.StatusForbidden {
						t.Errorf("%s hidden: got %d, want 403: %s", name, status, bad.Encode())
					}
					if dead := w.letters.drain(); len(dead) != 1 || dead[0].Reason != "holds another parameter" {
						t.Errorf("%s hidden: dead letters %+v", name, dead)
					}
				}
			}
			if n := len(w.journal.drain()); n != 0 {
				t.Errorf("%d entries were stored", n)
			}
		})
	}
}

// hidden returns forms that hold the name and its value in a text between the names of gap.
func hidden(form url.Values, name string, gap [2]string) (forms []url.Values) {
	text := name + values[name]
	for _, free := range []string{"FriendlyName", "ParticipantLabel", "ParticipantLabelEndingConference", "Reason", "AnnounceUrl", "RecordingUrl"} {
		if form.Has(free) && gap[0] <= free && free < gap[1] {
			forms = append(forms, with(form, free, values[free]+text))
		}
	}
	beside := gap[0] + "0" // sorts right behind the required name
	forms = append(forms, with(form, beside, text), with(form, beside, fmt.Sprint("a ", text)))
	if p := name + values[name]; isParameterName(p) && gap[0] < p && p < gap[1] {
		forms = append(forms, with(form, p, ""))
	}
	return append(forms, with(form, name[:len(name)-1], name[len(name)-1:]+values[name]), with(form, name+values[name][:1], values[name][1:]))
}

func isParameterName(s string) bool {
	return len(s) <= 128 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
}
