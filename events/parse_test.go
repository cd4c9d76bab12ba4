package events_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
)

var update = flag.Bool("update", false, "write the golden files again")

const (
	account    = "AC25e16e9a716a4a8617a7c83f58e30482"
	conference = "CFe08c870b500f6e44a9ad184defd1f391"
	call       = "CA25e16e9a716a4a1786a7c83f58e30482"
	recording  = "RE0123456789abcdef0123456789abcdef"
)

var received = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// sample reads one raw form of testdata.
func sample(t testing.TB, path string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", path))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(raw), "\n")
}

func entry(source events.Source, form string) events.Entry {
	return events.Entry{Source: source, ReceivedAt: received, Form: form}
}

// TestEverySampleMeansWhatItMeant reads each kind of callback in testdata and
// compares what it means with the golden file beside it.
func TestEverySampleMeansWhatItMeant(t *testing.T) {
	t.Parallel()
	for folder, source := range map[string]events.Source{
		"callbacks": events.SourceCallback,
		"own":       events.SourceGavel,
	} {
		samples, err := filepath.Glob(filepath.Join("testdata", folder, "*.form"))
		if err != nil || len(samples) == 0 {
			t.Fatalf("no samples in %s: %v", folder, err)
		}
		for _, path := range samples {
			name, _ := filepath.Rel("testdata", path)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				e, err := events.Parse(entry(source, sample(t, name)))
				if err != nil {
					t.Fatal(err)
				}
				compareGolden(t, strings.TrimSuffix(path, ".form")+".want", describe(e))
			})
		}
	}
}

func describe(e events.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "id %s\nkind %s\naccount %s\nconference %s\n", e.ID, e.Kind, e.AccountSid, e.ConferenceSid)
	fmt.Fprintf(&b, "call %s\nrecording %s\nnumber %d\n", e.CallSid, e.RecordingSid, e.SequenceNumber)
	fmt.Fprintf(&b, "occurred %s\nreceived %s\n", e.OccurredAt.Format(time.RFC3339), e.ReceivedAt.Format(time.RFC3339))
	for _, p := range e.Params {
		fmt.Fprintf(&b, "  %s=%s\n", p.Name, p.Value)
	}
	return b.String()
}

func compareGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestEveryKindOfTwiliosHasASample(t *testing.T) {
	t.Parallel()
	for _, kind := range []events.Kind{
		events.ConferenceStart, events.ConferenceEnd, events.ParticipantJoin, events.ParticipantLeave,
		events.ParticipantMute, events.ParticipantUnmute, events.ParticipantHold, events.ParticipantUnhold,
		events.ParticipantModify, events.ParticipantSpeechStart, events.ParticipantSpeechStop,
		events.AnnouncementEnd, events.AnnouncementFail, events.ConferenceRecordEnd,
		"recording-in-progress", "recording-completed", "recording-absent",
	} {
		e, err := events.Parse(entry(events.SourceCallback, sample(t, "callbacks/"+string(kind)+".form")))
		if err != nil || e.Kind != kind {
			t.Errorf("sample of %s: got %q, %v", kind, e.Kind, err)
		}
	}
}

// changed returns a sample with other values of parameters; "-" removes the parameter.
func changed(t testing.TB, path string, changes ...string) string {
	t.Helper()
	params, err := events.ParseForm(sample(t, path), events.MaxParams)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(changes); i += 2 {
		name, value := changes[i], changes[i+1]
		at := slices.IndexFunc(params, func(p events.Param) bool { return p.Name == name })
		switch {
		case value == "-":
			params = slices.Delete(params, at, at+1)
		case at >= 0:
			params[at].Value = value
		default:
			params = append(params, events.Param{Name: name, Value: value})
		}
	}
	return params.Encode()
}

// TestOutOfForm holds one case for each thing that Twilio fixes. Field is what
// the error names; no error may hold a value.
func TestOutOfForm(t *testing.T) {
	t.Parallel()
	const secret = "+14155550100"
	for _, c := range []struct {
		name, sample, field string
		changes             []string
	}{
		{"no account", "participant-join", "AccountSid", []string{"AccountSid", "-"}},
		{"empty account", "participant-join", "AccountSid", []string{"AccountSid", ""}},
		{"account of another kind", "participant-join", "AccountSid", []string{"AccountSid", call}},
		{"account too long", "participant-join", "AccountSid", []string{"AccountSid", account + "0"}},
		{"conference not hex", "participant-join", "ConferenceSid", []string{"ConferenceSid", "CFz08c870b500f6e44a9ad184defd1f391"}},
		{"no conference", "conference-start", "ConferenceSid", []string{"ConferenceSid", "-"}},
		{"no friendly name", "conference-start", "FriendlyName", []string{"FriendlyName", "-"}},
		{"no number", "conference-start", "SequenceNumber", []string{"SequenceNumber", "-"}},
		{"number with a sign", "conference-start", "SequenceNumber", []string{"SequenceNumber", "+1"}},
		{"number below zero", "conference-start", "SequenceNumber", []string{"SequenceNumber", "-1"}},
		{"number beyond 31 bits", "conference-start", "SequenceNumber", []string{"SequenceNumber", "2147483648"}},
		{"number of eleven digits", "conference-start", "SequenceNumber", []string{"SequenceNumber", "00000000001"}},
		{"no timestamp", "conference-start", "Timestamp", []string{"Timestamp", "-"}},
		{"empty timestamp", "conference-start", "Timestamp", []string{"Timestamp", ""}},
		{"no event", "conference-start", "StatusCallbackEvent", []string{"StatusCallbackEvent", "-"}},
		{"empty event", "conference-start", "StatusCallbackEvent", []string{"StatusCallbackEvent", ""}},
		{"event of our own", "conference-start", "StatusCallbackEvent", []string{"StatusCallbackEvent", "gavel-speech-dropped"}},
		{"event with a suffix", "participant-join", "StatusCallbackEvent", []string{"StatusCallbackEvent", "participant-join 2"}},
		{"no call", "participant-join", "CallSid", []string{"CallSid", "-"}},
		{"empty call", "participant-leave", "CallSid", []string{"CallSid", ""}},
		{"no mute flag", "participant-mute", "Muted", []string{"Muted", "-"}},
		{"no hold flag", "participant-hold", "Hold", []string{"Hold", "-"}},
		{"no coaching flag", "participant-modify", "Coaching", []string{"Coaching", "-"}},
		{"no end flag", "participant-speech-stop", "EndConferenceOnExit", []string{"EndConferenceOnExit", "-"}},
		{"no start flag", "participant-unhold", "StartConferenceOnEnter", []string{"StartConferenceOnEnter", "-"}},
		{"flag in capitals", "participant-mute", "Muted", []string{"Muted", "True"}},
		{"empty flag", "announcement-fail", "Muted", []string{"Muted", ""}},
		{"reason of several words", "conference-end", "ReasonConferenceEnded", []string{"ReasonConferenceEnded", "last participant left"}},
		{"ended by no call", "conference-end", "CallSidEndingConference", []string{"CallSidEndingConference", secret}},
		{"status in capitals", "participant-leave", "ParticipantCallStatus", []string{"ParticipantCallStatus", "Completed"}},
		{"recording without its URL", "conference-record-end", "RecordingUrl", []string{"RecordingUrl", "-"}},
		{"file size", "conference-record-end", "RecordingFileSize", []string{"RecordingFileSize", "9 MB"}},
		{"recording of no account", "recording-completed", "AccountSid", []string{"AccountSid", "-"}},
		{"recording of a call leg", "recording-completed", "ConferenceSid", []string{"ConferenceSid", "-"}},
		{"recording without its SID", "recording-completed", "FriendlyName", []string{"RecordingSid", "-"}},
		{"recording of another kind", "recording-completed", "RecordingSid", []string{"RecordingSid", call}},
		{"duration", "recording-completed", "RecordingDuration", []string{"RecordingDuration", "6.5"}},
		{"channels", "recording-completed", "RecordingChannels", []string{"RecordingChannels", "-1"}},
		{"source of several words", "recording-completed", "RecordingSource", []string{"RecordingSource", "Conference, Tue"}},
		{"name that is none", "participant-join", "unknown parameter", []string{secret + " x", "1"}},
		{"name too long", "participant-join", "unknown parameter", []string{strings.Repeat("x", 129), "1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := events.Parse(entry(events.SourceCallback, changed(t, "callbacks/"+c.sample+".form", c.changes...)))
			wantFault(t, err, c.field)
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the error holds a value: %v", err)
			}
		})
	}
}

func wantFault(t *testing.T, err error, field string) {
	t.Helper()
	var fault *events.FormError
	if !errors.As(err, &fault) {
		t.Fatalf("got %v, want a *FormError about %s", err, field)
	}
	if fault.Field != field {
		t.Errorf("got fault %v, want one about %s", fault, field)
	}
}

func TestDoublesAreRefused(t *testing.T) {
	t.Parallel()
	for _, twice := range []string{"Muted=false", "StatusCallbackEvent=conference-end", "Novelty=1&Novelty=2"} {
		_, err := events.Parse(entry(events.SourceCallback, sample(t, "callbacks/participant-join.form")+"&"+twice))
		field, _, _ := strings.Cut(twice, "=")
		if field == "Novelty" {
			field = "unknown parameter"
		}
		wantFault(t, err, field)
	}
}

// TestTextsThatReadLikeParameters: a text must not read like a parameter that this kind may have
// and this event lacks, at a place where Twilio would have signed that parameter.
func TestTextsThatReadLikeParameters(t *testing.T) {
	t.Parallel()
	const unknown = "unknown parameter"
	for _, c := range []struct {
		name, sample, field string
		changes             []string
	}{
		{"flag in a room's name", "announcement-end", "FriendlyName", []string{"FriendlyName", "Holdfalse"}},
		{"flags in a room's name", "announcement-end", "FriendlyName", []string{"FriendlyName", "HoldfalseMutedfalse"}},
		{"call in an address", "announcement-end", "AnnounceUrl", []string{"AnnounceUrl", "https://CallSid" + call}},
		{"reason in a label", "participant-leave", "ParticipantLabel", []string{"ReasonParticipantLeft", "-", "ParticipantLabel", "ReasonParticipantLeftparticipant_hung_up"}},
		{"text in a room's name", "conference-end", "FriendlyName", []string{"ParticipantLabelEndingConference", "-", "FriendlyName", "ParticipantLabelEndingConference"}},
		{"common word in a room's name", "conference-end", "FriendlyName", []string{"Reason", "-", "FriendlyName", "ReasonParticipant left"}},
		{"rest of a word's name", "conference-end", "Reason", []string{"ReasonConferenceEnded", "-", "Reason", "ConferenceEndedlast-participant-left"}},
		{"failure in a label", "announcement-fail", "ParticipantLabel", []string{"ReasonAnnouncementFailed", "-", "ParticipantLabel", "ReasonAnnouncementFailed"}},
		{"unknown text", "announcement-end", unknown, []string{"Note", "Holdtrue"}},
		{"unknown name", "announcement-end", unknown, []string{"Holdtrue", "1"}},
		{"unknown name with its value", "announcement-end", unknown, []string{"MyHold", "true"}},
		{"known text before an unknown name", "announcement-end", "AnnounceUrl", []string{"AnnounceUrl", "https://CallSid", call, "1"}},
		{"name of a label, extended", "participant-mute", unknown, []string{"ParticipantLabel", "-", "ParticipantLabela", "gent"}},
		{"name of a label, cut", "participant-mute", unknown, []string{"ParticipantLabel", "-", "ParticipantLabe", "lagent"}},
		{"name of a reason, extended", "conference-end", unknown, []string{"Reason", "-", "ReasonP", "articipant left"}},
		{"number in a room's name, of an unknown kind", "unknown-event", "FriendlyName", []string{"FriendlyName", "RecordingFileSize1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := events.Parse(entry(events.SourceCallback, changed(t, "callbacks/"+c.sample+".form", c.changes...)))
			wantFault(t, err, c.field)
		})
	}
}

// TestATextIsATextWhereNothingIsLookedFor: the event has the parameter, its kind cannot
// have it, or the parameter's place in Twilio's order of names is elsewhere.
func TestATextIsATextWhereNothingIsLookedFor(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"Hold", "Holdings true north", "MutedMusic", "Callback CallSid=" + call, "DurationOfTheMeeting",
		"SequenceNumberless", "conference-start", "Participant " + call + " left", "StatusCallbackEventconference-end",
		"Mutedtrue", "CallSid" + call, "ErrorCode1", "RecordingStatuscompleted", "ReasonParticipantLeftparticipant_hung_up",
		"ReasonAnnouncementFailed", "EndingConference", "Duration7",
	} {
		form := changed(t, "callbacks/participant-join.form", "FriendlyName", text, "ParticipantLabel", text, "Note", text)
		if _, err := events.Parse(entry(events.SourceCallback, form)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for sample, changes := range map[string][]string{
		"announcement-end": {"Timestamp", "on Hold", "true", "1"},
		"conference-start": {"CustomerCallSid", call, "parentCallSid", call, "maxDuration", "3600", "Reason", "ParticipantLeftparticipant_hung_up"},
		"conference-end":   {"Reason", "-", "FriendlyName", "Reasonable people, for good Reason"},
		"participant-mute": {"CustomerCallSid", call, "ReservationSid", "WR" + call[2:], "StatusCallback", "https://example.com/Holdtrue"},
	} {
		if _, err := events.Parse(entry(events.SourceCallback, changed(t, "callbacks/"+sample+".form", changes...))); err != nil {
			t.Errorf("%s with %q: %v", sample, changes, err)
		}
	}
}

// A capture from before ReasonConferenceEnded existed has Reason alone.
func TestAnEndMayLackItsReason(t *testing.T) {
	t.Parallel()
	e, err := events.Parse(entry(events.SourceCallback, changed(t, "callbacks/conference-end.form", "ReasonConferenceEnded", "-")))
	if err != nil || e.Kind != events.ConferenceEnd {
		t.Errorf("got kind %q, %v", e.Kind, err)
	}
}

func TestUnknownIsKept(t *testing.T) {
	t.Parallel()
	form := changed(t, "callbacks/unknown-event.form", "StatusCallbackEvent", "Something New!", "Parameter1.Name", "x")
	e, err := events.Parse(entry(events.SourceEventStream, form))
	if err != nil {
		t.Fatal(err)
	}
	if e.Kind != "Something New!" || e.Kind.Token() != "unknown" || e.Params.Get("Parameter1.Name") != "x" {
		t.Errorf("got kind %q with %v", e.Kind, e.Params)
	}
}

func FuzzParse(f *testing.F) {
	samples, err := filepath.Glob("testdata/*/*.form")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range samples {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(events.SourceCallback), strings.TrimSpace(string(raw)))
		f.Add(uint8(events.SourceGavel), strings.TrimSpace(string(raw)))
	}
	f.Fuzz(func(t *testing.T, source uint8, form string) {
		e, err := events.Parse(entry(events.Source(source), form))
		if err != nil {
			if !errors.Is(err, events.ErrMalformed) {
				t.Fatalf("%v is no ErrMalformed", err)
			}
			return
		}
		named := events.IsSid("CF", e.ConferenceSid) || (e.ConferenceSid == "" && e.Source == events.SourceGavel)
		owned := events.IsSid("AC", e.AccountSid) || e.Kind == events.RulesLoaded
		if !owned || !named || e.ID == "" || e.Kind == "" {
			t.Fatalf("accepted without identity: %+v", e)
		}
		again, err := events.Parse(entry(events.Source(source), e.Params.Encode()))
		if err != nil || !cmp.Equal(e, again) {
			t.Fatalf("encoded again it means something else: %v\n%s", err, cmp.Diff(e, again))
		}
	})
}
