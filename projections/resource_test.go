package projections_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/projections"
)

const (
	theAccount    = "AC0123456789abcdef0123456789abcdef"
	theConference = "CF0123456789abcdef0123456789abcdef"
	theCall       = "CA0123456789abcdef0123456789abcdef"
	theRecording  = "RE0123456789abcdef0123456789abcdef"
)

// at is a time on a day with one digit.
func at(clock string) projections.Instant {
	t, err := time.Parse(time.DateTime, "2026-08-03 "+clock)
	if err != nil {
		panic(err)
	}
	return projections.At(t)
}

func room() *projections.Conference {
	return &projections.Conference{
		AccountSid: theAccount, ConferenceSid: theConference,
		FriendlyName: projections.Stated[string]{Seq: 1, Value: "room-42"},
		Created:      at("09:15:02"), Updated: at("09:15:09"),
		Start: &projections.Moment{Seq: 3, At: at("09:15:09")},
	}
}

func agent() *projections.Participant {
	return &projections.Participant{
		CallSid: theCall, Created: at("09:15:02"), Updated: at("09:15:09"),
		Label: projections.Stated[string]{Seq: 1, Value: `agent|"José" 100%`},
		Flags: projections.Stated[projections.Flags]{Seq: 2, Value: projections.Flags{
			Muted: true, EndConferenceOnExit: true, StartConferenceOnEnter: true,
		}},
		Last: projections.Turn{Seq: 2, At: at("09:15:09"), On: true},
	}
}

func mix() *projections.Recording {
	return &projections.Recording{
		Sid: theRecording, StartedAt: at("09:15:04"), Duration: 116, Channels: 1,
		Statuses: []string{"completed", "in-progress"},
	}
}

func ended(c *projections.Conference) *projections.Conference {
	c.End = &projections.Ending{
		Moment:  projections.Moment{Seq: 9, At: at("09:20:00")},
		Reason:  projections.EndedByExitLeft,
		CallSid: theCall,
	}
	return c
}

// The golden files have the shape of Twilio's resources: every key exists, and
// is null if no callback carries its value.
func TestResourcesHaveTwiliosShape(t *testing.T) {
	t.Parallel()
	bare := &projections.Conference{AccountSid: theAccount, ConferenceSid: theConference}
	for name, got := range map[string][]byte{
		"conference-in-progress": projections.AppendConference(nil, room()),
		"conference-completed":   projections.AppendConference(nil, ended(room())),
		"conference-bare":        projections.AppendConference(nil, bare),
		"participant-connected":  projections.AppendParticipant(nil, room(), agent()),
		"participant-complete":   projections.AppendParticipant(nil, ended(room()), agent()),
		"participant-bare":       projections.AppendParticipant(nil, room(), &projections.Participant{CallSid: theCall}),
		"recording-completed":    projections.AppendRecording(nil, room(), mix()),
		"recording-failed": projections.AppendRecording(nil, room(), &projections.Recording{
			Sid: theRecording, CallSid: theCall, Duration: -1, ErrorCode: "21220", Statuses: []string{"failed"},
		}),
		"recording-by-api": projections.AppendRecording(nil, room(), &projections.Recording{
			Sid: theRecording, Duration: 6, Channels: 2, Source: "StartConferenceRecordingAPI", Statuses: []string{"completed"},
		}),
		"recording-by-url": projections.AppendRecording(nil, room(), &projections.Recording{
			URL:      "https://api.twilio.com/2010-04-01/Accounts/" + theAccount + "/Recordings/" + theRecording,
			Duration: 6, Statuses: []string{"completed"},
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, filepath.Join("testdata", "resources", name+".json"), got)
		})
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, got, "", "  "); err != nil {
		t.Fatalf("no JSON: %v\n%s", err, got)
	}
	pretty.WriteByte('\n')
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
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestRecordingKnownByURLTakesItsSidFromThere(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://api.twilio.com/2010-04-01/Accounts/" + theAccount + "/Recordings/RE0123456789ABCDEF0123456789ABCDEF": theRecording,
		"https://example.com/mix.wav": "",
		"":                            "",
	} {
		if got := (&projections.Recording{URL: url}).ResourceSid(); got != want {
			t.Errorf("ResourceSid of %q = %q, want %q", url, got, want)
		}
	}
}

// Names and labels are free text and must come out as they went in; invalid
// UTF-8 comes out as encoding/json writes it.
func FuzzResourcesCarryAnyText(f *testing.F) {
	for _, s := range []string{"", "room-42", `a"b\c/d`, "\x00\x1f\x7f", "tab\there", "😀 \u2028", "\xff\xfe half \xe2\x82", "</script>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, p := room(), agent()
		c.FriendlyName.Value, p.Label.Value = s, s
		want := throughJSON(t, s)
		var name struct {
			Text *string `json:"friendly_name"`
		}
		var label struct {
			Text *string `json:"label"`
		}
		decode(t, projections.AppendConference(nil, c), &name)
		decode(t, projections.AppendParticipant(nil, c, p), &label)
		for _, got := range []*string{name.Text, label.Text} {
			if got == nil && s != "" || got != nil && *got != want {
				t.Errorf("%q came out as %v", s, got)
			}
		}
	})
}

func throughJSON(t *testing.T, s string) (out string) {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	decode(t, b, &out)
	return out
}

func decode(t *testing.T, b []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
}
