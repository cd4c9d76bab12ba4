package events_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"

	"gavel/events"
)

// hold is a participant's hold, as the projector publishes it.
func hold() *events.Event {
	return &events.Event{
		ID: "0123456789abcdef0123456789abcdef", Kind: events.ParticipantHold,
		AccountSid: "AC00000000000000000000000000000001", ConferenceSid: "CF00000000000000000000000000000002",
		CallSid: "CA00000000000000000000000000000003", SequenceNumber: 7,
		OccurredAt: time.Date(2026, 8, 3, 9, 15, 2, 0, time.UTC),
		ReceivedAt: time.Date(2026, 8, 3, 9, 15, 2, 123456789, time.UTC),
		Query:      "queue=sales",
		Params:     events.Params{{Name: "FriendlyName", Value: "Sala \"1\"\n北京 😀"}, {Name: "Hold", Value: "true"}},
	}
}

func TestSubscribersParseTheNewsWithTheOfficialSDK(t *testing.T) {
	t.Parallel()
	raw := events.AppendCloudEvent(nil, hold(), true, []byte(`{"status":"in-progress"}`))
	var e cloudevents.Event
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatalf("sdk-go does not parse %s: %v", raw, err)
	}
	if err := e.Validate(); err != nil {
		t.Errorf("sdk-go does not accept it: %v", err)
	}
	got := map[string]any{
		"id": e.ID(), "type": e.Type(), "source": e.Source(), "subject": e.Subject(), "time": e.Time(),
		"query": e.Extensions()["callbackquery"], "received": e.Extensions()["receivedat"],
	}
	want := map[string]any{
		"id": "0123456789abcdef0123456789abcdef", "type": "gavel.participant-hold.v1",
		"source":  "/accounts/AC00000000000000000000000000000001/conferences/CF00000000000000000000000000000002",
		"subject": "CA00000000000000000000000000000003", "time": time.Date(2026, 8, 3, 9, 15, 2, 0, time.UTC),
		"query": "queue=sales", "received": "2026-08-03T09:15:02.123456789Z",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	var data struct {
		FriendlyName, Hold string
		Late               bool
		Conference         struct{ Status string }
	}
	if err := e.DataAs(&data); err != nil {
		t.Fatal(err)
	}
	if data.FriendlyName != "Sala \"1\"\n北京 😀" || data.Hold != "true" || !data.Late || data.Conference.Status != "in-progress" {
		t.Errorf("data is %+v", data)
	}
}

func TestACloudEventComesBackAsItWent(t *testing.T) {
	t.Parallel()
	got, err := events.ParseCloudEvent(events.AppendCloudEvent(nil, hold(), true, []byte(`{"friendly_name":"room","sid":null}`)))
	slices.SortFunc(got.Params, func(a, b events.Param) int { return strings.Compare(a.Name, b.Name) })
	want := events.CloudEvent{
		Kind: events.ParticipantHold, Time: hold().OccurredAt, ReceivedAt: hold().ReceivedAt, Params: hold().Params,
		Late: true, FriendlyName: "room",
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, text := range []string{"", "[]", `{"time":"noon"}`, `{"data":7}`} {
		if _, err := events.ParseCloudEvent([]byte(text)); err == nil {
			t.Errorf("%s is read", text)
		}
	}
}

func TestAParameterNamedLikeTheFoldsGivesWay(t *testing.T) {
	t.Parallel()
	e := hold()
	e.Params = append(e.Params, events.Param{Name: "late", Value: "perhaps"}, events.Param{Name: "conference", Value: "none"})
	raw := string(events.AppendCloudEvent(nil, e, false, []byte(`null`)))
	if strings.Contains(raw, "perhaps") || strings.Count(raw, `"conference"`) != 1 {
		t.Errorf("news is %s", raw)
	}
}

func TestAnUnknownEventHasAValidSubject(t *testing.T) {
	t.Parallel()
	for kind, want := range map[events.Kind]string{
		"participant-join": "gavel.participant-join.v1",
		"Participant Join": "gavel.unknown.v1",
		"a.b>":             "gavel.unknown.v1",
		"":                 "gavel.unknown.v1",
	} {
		if got := events.CloudEventType(kind); got != want {
			t.Errorf("kind %q has type %s, want %s", kind, got, want)
		}
	}
}

// For every text the output is JSON with the same content.
func FuzzAppendJSONString(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\n\t\x00", "北京 😀", "\xff\xfe", "</script>\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		raw := events.AppendJSONString(nil, s)
		var got string
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatalf("%q became %s: %v", s, raw, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); got != want && strings.Count(want, "\ufffd") == 0 {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}
