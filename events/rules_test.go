package events_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
)

const decisionID = "0123456789abcdef0123456789abcdef"

var key = events.Key{AccountSid: account, ConferenceSid: conference}

func exemption() events.Exemption {
	return events.Exemption{
		ID: ulid, Key: key, Rule: "end-orphaned", Until: received.Add(30 * time.Minute), Reason: "training & co, 北京",
		Actor: events.Actor{Sid: apiKey, Name: "kate"}, At: received,
	}
}

func healedJoin() events.Healed {
	return events.Healed{
		ID: ulid, Key: key, Fact: events.ParticipantJoin, CallSid: call, Flags: "muted&start-on-enter", Behind: 7, At: received,
	}
}

func TestEntriesOfRulesComeBackAsTheyWent(t *testing.T) {
	t.Parallel()
	load := events.Load{ID: ulid, Version: decisionID, At: received, Engine: events.Engine}
	match := events.Match{ID: decisionID, AccountSid: account, Rule: "surge", Decision: `{"by":"+1 415 & co"}`}
	for _, c := range []struct {
		entry events.Entry
		id    string
		key   events.Key
		want  any
		read  func(e *events.Event) (any, error)
	}{
		{
			events.NewRulesLoaded(load), "rules-loaded-" + ulid,
			events.Key{},
			load,
			func(e *events.Event) (any, error) { return e.Load() },
		},
		{
			events.NewMatch(match, received), "match-" + decisionID,
			events.Key{AccountSid: account},
			match,
			func(e *events.Event) (any, error) { return e.Match() },
		},
		{
			events.NewExempted(exemption()), "exempt-" + ulid, key, exemption(),
			func(e *events.Event) (any, error) { return e.Exemption() },
		},
		{
			events.NewHealed(healedJoin()), "healed-" + ulid, key, healedJoin(),
			func(e *events.Event) (any, error) { return e.Healed() },
		},
		{
			events.NewFetched(events.Fetched{ID: ulid, Key: key, Region: "us1", Reason: "last-participant-left", CallSid: call, At: received}),
			"fetched-" + ulid, key,
			events.Fetched{ID: ulid, Key: key, Region: "us1", Reason: "last-participant-left", CallSid: call, At: received},
			func(e *events.Event) (any, error) { return e.Fetched() },
		},
		{
			events.NewDialled(events.Dialled{ID: ulid, Key: key, CallSid: call, Status: "queued", Label: "50% ü", Timeout: time.Minute, At: received}),
			"dialled-" + ulid, key,
			events.Dialled{ID: ulid, Key: key, CallSid: call, Status: "queued", Label: "50% ü", Timeout: time.Minute, At: received},
			func(e *events.Event) (any, error) { return e.Dialled() },
		},
	} {
		e := read(t, c.entry)
		got, err := c.read(&e)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", e.Kind, err, diff)
		}
		if e.ID != c.id || e.Key() != c.key || !e.ReceivedAt.Equal(received) || e.SequenceNumber != events.NoSequence {
			t.Errorf("%s is read as %+v", e.Kind, e)
		}
	}
}

// A wake and the end of a re-read say nothing but which conference they are of.
func TestWakesAndRereadsNameTheirConference(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for _, made := range []events.Entry{
		events.NewWake(key, received), events.NewWake(key, received), events.NewReread(key, received), events.NewReread(key, received),
	} {
		e := read(t, made)
		if e.Key() != key || ids[e.ID] || !e.Kind.OfRules() {
			t.Errorf("got %+v", e)
		}
		ids[e.ID] = true
	}
}

func TestWhatIsLeftOutOfAnEntryStaysEmpty(t *testing.T) {
	t.Parallel()
	x := exemption()
	x.Rule, x.Reason, x.Actor.Name = "", "", ""
	e := read(t, events.NewExempted(x))
	if got, err := e.Exemption(); err != nil || got != x {
		t.Errorf("got %+v, %v", got, err)
	}
	h := events.Healed{ID: ulid, Key: key, Fact: events.ConferenceEnd, Behind: events.NoSequence, At: received}
	e = read(t, events.NewHealed(h))
	if got, err := e.Healed(); err != nil || got != h {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestEntriesOfRulesAreChecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, sample, field, value string }{
		{"a wake of nothing", "gavel-wake", "ConferenceSid", "-"},
		{"a wake of no account", "gavel-wake", "AccountSid", conference},
		{"a wake without an id", "gavel-wake", "Id", "-"},
		{"a re-read of nothing", "gavel-reread", "ConferenceSid", "-"},
		{"a load without a version", "gavel-rules-loaded", "Version", "-"},
		{"a version of free text", "gavel-rules-loaded", "Version", "Not Fixed"},
		{"a version without end", "gavel-rules-loaded", "Version", strings.Repeat("a", 65)},
		{"a load without an id", "gavel-rules-loaded", "Id", "7"},
		{"a match of no account", "gavel-match", "AccountSid", "-"},
		{"a match of no rule", "gavel-match", "Rule", "-"},
		{"a rule's name of free text", "gavel-match", "Rule", "Call Kate"},
		{"a rule's name that begins with a dash", "gavel-match", "Rule", "-surge"},
		{"a match without an id", "gavel-match", "Id", "abc"},
		{"a match without end", "gavel-match", "Match", strings.Repeat("x", 64<<10+1)},
		{"an exemption without an end", "gavel-exempt", "Until", "-"},
		{"an exemption until a word", "gavel-exempt", "Until", "tomorrow"},
		{"an exemption by nobody", "gavel-exempt", "ActorSid", "-"},
		{"an exemption without a conference", "gavel-exempt", "ConferenceSid", "-"},
		{"an exemption from no rule's name", "gavel-exempt", "Rule", "End Orphaned"},
		{"a reason without end", "gavel-exempt", "Reason", strings.Repeat("x", events.MaxReason+1)},
		{"nothing healed", "gavel-healed", "Fact", "-"},
		{"something that cannot be healed", "gavel-healed", "Fact", "conference-start"},
		{"a join of nobody", "gavel-healed", "CallSid", "-"},
		{"a join of a conference", "gavel-healed", "CallSid", conference},
		{"an end by somebody", "gavel-healed", "Fact", "conference-end"},
		{"flags of nobody", "gavel-healed", "Flags", "muted&deaf"},
		{"flags out of order", "gavel-healed", "Flags", "hold&muted"},
		{"flags twice", "gavel-healed", "Flags", "muted&muted"},
		{"behind what is not a number", "gavel-healed", "Behind", "-7"},
		{"learned at no time", "gavel-healed", "AskedAt", "-"},
		{"no ULID", "gavel-healed", "Id", decisionID},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			field := c.field
			if c.value == "conference-end" {
				field = "CallSid"
			}
			_, err := events.Parse(entry(events.SourceGavel, changed(t, "own/"+c.sample+".form", c.field, c.value)))
			wantFault(t, err, field)
			if len(c.value) > 3 && strings.Contains(err.Error(), c.value) {
				t.Errorf("the error holds the value: %v", err)
			}
		})
	}
}

func TestHealedFactsReadLikeSentences(t *testing.T) {
	t.Parallel()
	for want, h := range map[string]events.Healed{
		"Twilio says that it has ended":                        {Fact: events.ConferenceEnd},
		"Twilio says that it has left":                         {Fact: events.ParticipantLeave},
		"Twilio says that it is there":                         {Fact: events.ParticipantJoin},
		"Twilio says that it is there: muted, hold":            {Fact: events.ParticipantJoin, Flags: "muted&hold"},
		"Twilio says that it stands otherwise: coaching":       {Fact: events.ParticipantModify, Flags: "coaching"},
		"Twilio says that it stands otherwise: no flag is set": {Fact: events.ParticipantModify},
	} {
		if got := h.Words(); got != want {
			t.Errorf("reads %q, want %q", got, want)
		}
	}
}

// Whatever a person gives as a reason, its entry can be read again.
func FuzzExemption(f *testing.F) {
	f.Add("training", "kate")
	f.Add("\xff\x00", strings.Repeat("é", events.MaxReason))
	f.Fuzz(func(t *testing.T, reason, name string) {
		x := exemption()
		x.Reason, x.Actor.Name = reason, name
		e, err := events.Parse(events.NewExempted(x))
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Exemption()
		if err != nil || len(got.Reason) > events.MaxReason || !utf8.ValidString(got.Reason) {
			t.Fatalf("came back as %+v, %v", got, err)
		}
	})
}
