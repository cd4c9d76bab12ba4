package callback_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
)

// apiRequest is an item about a call of Twilio's API.
func apiRequest(kind, url, answer string, parameters map[string]any) map[string]any {
	return map[string]any{
		"specversion": "1.0", "id": "EZ1", "type": "com.twilio.voice.api-request." + kind, "datacontenttype": "2026-06-17",
		"dataschema": "https://events-schemas.twilio.com/Voice.WebhookEvent/2",
		"data": map[string]any{
			"eventSid": "VW0123456789abcdef0123456789abcdef", "timestamp": "2026-11-22T09:59:58.123Z",
			"request":  map[string]any{"method": "POST", "url": url, "parameters": parameters},
			"response": map[string]any{"responseCode": 200, "responseBody": base64.StdEncoding.EncodeToString([]byte(answer))},
		},
	}
}

// summaryOf is a summary of Voice Insights.
func summaryOf(kind string, data map[string]any) map[string]any {
	return map[string]any{"id": "EZ2", "type": "com.twilio.voice.insights." + kind, "time": "2026-11-22T10:00:00Z", "data": data}
}

// What only Event Streams reports is kept with its parameters, and has the id of its conference and
// Twilio's id.
func TestItemsThatNoCallbackReportsAreKept(t *testing.T) {
	t.Parallel()
	base := "https://api.twilio.com/2010-04-01/Accounts/" + account + "/Conferences/"
	const at = "Sun, 22 Nov 2026 09:59:58 +0000"
	for name, c := range map[string]struct {
		item map[string]any
		kind events.Kind
		call string
		more map[string]string // parameters that the event has, among others
	}{
		"conference modified": {
			apiRequest("conference.modified", base+conference+".json", `{}`, map[string]any{"Status": "completed"}),
			events.APIConferenceModified, "", map[string]string{"Request.Status": "completed", "ResponseCode": "200", "Timestamp": at},
		},
		"conference named in the answer": {
			apiRequest("conference.modified", "", `{"sid":"`+conference+`"}`, map[string]any{"AnnounceUrl": "https://example.com/a"}),
			events.APIConferenceModified, "", map[string]string{"Request.AnnounceUrl": "https://example.com/a"},
		},
		"participant created in a room by name": {
			apiRequest("conference-participant.created", base+"support-7/Participants.json", `{"conference_sid":"`+conference+`","call_sid":"`+call+`"}`, map[string]any{"Label": "agent", "EarlyMedia": true}),
			events.APIParticipantCreated, call, map[string]string{"Request.Label": "agent", "Request.EarlyMedia": "true"},
		},
		"participant modified": {
			apiRequest("conference-participant.modified", base+conference+"/Participants/"+call+".json", "", map[string]any{"Hold": "True"}),
			events.APIParticipantModified, call, map[string]string{"Request.Hold": "True"},
		},
		"participant deleted by label": {
			apiRequest("conference-participant.deleted", base+conference+"/Participants/agent", "", map[string]any{}),
			events.APIParticipantDeleted, "", map[string]string{"EventSid": "VW0123456789abcdef0123456789abcdef"},
		},
		"conference summary": {
			summaryOf("conference-summary.complete", map[string]any{"account_sid": account, "conference_sid": conference, "duration_seconds": 60, "tags": []string{"a", "b"}, "tag_info": map[string]any{"a": 1}}),
			events.InsightsConferenceSummary, "", map[string]string{"Summary.duration_seconds": "60", "Summary.tags": "a,b", "EventSid": "EZ2", "Partial": ""},
		},
		"partial summary": {
			summaryOf("conference-summary.partial", map[string]any{"conference_sid": conference}),
			events.InsightsConferenceSummary, "", map[string]string{"Partial": "true"},
		},
		"participant summary": {
			summaryOf("conference-participant-summary.complete", map[string]any{"conference_sid": conference, "call_sid": call, "call_state": "completed", "from": "+15550100"}),
			events.InsightsParticipantSummary, call, map[string]string{"Summary.call_state": "completed", "Summary.from": ""},
		},
		"participant summary by its other name": {
			summaryOf("participant-summary.complete", map[string]any{"conference_sid": conference, "call_sid": call}),
			events.InsightsParticipantSummary, call, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			wantStatus(t, w.stream(t, token, "", encode(t, []any{c.item, c.item})), http.StatusNoContent)
			entries := w.journal.drain()
			if len(entries) != 2 {
				t.Fatalf("%d entries; dead letters %+v", len(entries), w.letters.drain())
			}
			e, err := events.ParseStored(entries[0])
			if err != nil {
				t.Fatal(err)
			}
			twin, err := events.ParseStored(entries[1])
			if err != nil || twin.ID != e.ID {
				t.Errorf("two ids for one item: %v", err)
			}
			if e.Kind != c.kind || e.AccountSid != account || e.ConferenceSid != conference || e.CallSid != c.call || e.SequenceNumber != events.NoSequence {
				t.Errorf("got %+v", e)
			}
			for name, want := range c.more {
				if diff := cmp.Diff(want, e.Params.Get(name)); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
			}
		})
	}
}

// An API call or a summary of a conference that cannot be named is ignored, one that cannot be read
// is a dead letter, and a callback cannot pretend to be one.
func TestStreamedItemsThatAreNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nameless := apiRequest("conference-participant.created", "https://api.twilio.com/2010-04-01/Accounts/"+account+"/Conferences/room/Participants.json", "", nil)
	foreign := summaryOf("conference-summary.complete", map[string]any{"account_sid": other, "conference_sid": conference})
	unreadable := map[string]any{"type": "com.twilio.voice.api-request.conference.modified", "data": 7}
	body := encode(t, []any{nameless, foreign, unreadable, summaryOf("call-summary.complete", map[string]any{"call_sid": call})})
	wantStatus(t, w.stream(t, token, "", body), http.StatusNoContent)
	w.wantDead(t, "AccountSid", "item")
	if got := w.counted(t, "gavel_event_streams_items_total", "ignored"); got != 2 {
		t.Errorf("%v items ignored, want 2", got)
	}
	form := ended()
	form.Set("StatusCallbackEvent", string(events.APIConferenceModified))
	form.Del("SequenceNumber")
	wantStatus(t, w.post(t, "/twilio/conference", form), http.StatusForbidden)
	if n := len(w.journal.drain()); n != 0 {
		t.Errorf("%d entries", n)
	}
}

// A request has more parameters than a form may have: those beyond the limit are left out.
func TestARequestWithManyParametersIsKept(t *testing.T) {
	t.Parallel()
	w, parameters := newWorld(t), map[string]any{}
	for i := range 100 {
		parameters[strings.Repeat("x", i+1)] = "1"
	}
	item := apiRequest("conference.modified", "https://api.twilio.com/2010-04-01/Accounts/"+account+"/Conferences/"+conference, "", parameters)
	wantStatus(t, w.stream(t, token, "", encode(t, []any{item})), http.StatusNoContent)
	if entries := w.journal.drain(); len(entries) != 1 || strings.Count(entries[0].Form, "&") != events.MaxParams-1 {
		t.Errorf("got %d entries, want one with %d parameters", len(entries), events.MaxParams)
	}
}
