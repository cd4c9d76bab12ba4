package events_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"gavel/events"
)

// The golden file has each entry of Gavel's own as it lies in the journal, what
// is read from it, and the answer to each wrong value of each parameter.
// Journals are full of these entries: who changes the file changes what is stored.
func TestEntriesOfOurOwnStayAsTheyAre(t *testing.T) {
	t.Parallel()
	const path = "testdata/own-entries.golden"
	var b strings.Builder
	for _, made := range ownEntries() {
		e := read(t, made.entry)
		fmt.Fprintf(&b, "%s, at %s\n  %s\n  %s\n", made.name, made.entry.ReceivedAt.Format(time.RFC3339Nano), fixedID(made.entry.Form), said(e))
	}
	for _, made := range ownEntries() {
		changeEveryParameter(t, &b, made)
	}
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(strings.Split(string(want), "\n"), strings.Split(b.String(), "\n")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

type ownEntry struct {
	name  string
	entry events.Entry
}

func ownEntries() []ownEntry {
	at := time.Date(2026, 8, 3, 9, 15, 2, 500, time.FixedZone("", 3600))
	rule, bare := kick(), kick()
	rule.ID, rule.Seen, rule.Actor, rule.At = decisionID, "muted&hold=1", events.Actor{Rule: "end-orphaned"}, at
	bare.ConferenceSid, bare.CallSid, bare.RecordingSid, bare.Asked, bare.Actor.Name = "", "", "", "To=%2B14155550100", ""
	both := kick()
	both.Actor.Rule = "end-orphaned"
	lifted := exemption()
	lifted.Rule, lifted.Reason, lifted.Actor.Name, lifted.Until = "", "line\nbreak\x00", strings.Repeat("é", 200), at
	ended := events.Healed{ID: ulid, Key: key, Fact: events.ConferenceEnd, Behind: events.NoSequence, At: at}
	still := events.Healed{ID: ulid, Key: key, Fact: events.ParticipantModify, CallSid: call, At: at}
	coaching := healedJoin()
	coaching.Flags, coaching.Coach = "coaching", call
	named := exemption()
	named.Key.ConferenceSid, named.Name = "", "board & café"
	reset := events.Reset{ID: ulid, Rule: "end-orphaned", Reason: "mended", Actor: exemption().Actor, At: at}
	fetched := events.Fetched{ID: ulid, Key: key, Region: "ie1", Reason: "last-participant-left", CallSid: call, At: at}
	odd := events.Fetched{ID: ulid, Key: key, Region: "Dublin, Ireland", Reason: strings.Repeat("a", 65), CallSid: conference, At: at}
	inPart := still
	inPart.At = at.Add(1_007 * time.Millisecond)
	opening := dialledLeg()
	opening.At, opening.FriendlyName = inPart.At, "Müller & co\n"
	match := events.Match{ID: decisionID, AccountSid: account, Rule: "surge", Decision: "{\"by\":\"+1 415 & co\n\"}"}
	why := events.Outcome{Result: events.Skipped, Why: "already", At: at}
	return []ownEntry{
		{"speech dropped", events.NewSpeechDropped(ulid, key, [][2]int64{{0, 0}, {3, 5}, {9, 2147483647}}, at)},
		{"wake", events.NewWake(key, at)},
		{"re-read", events.NewReread(key, at)},
		{"rules loaded", events.NewRulesLoaded(events.Load{ID: ulid, Version: "v1-a=b&c", At: at})},
		{"match", events.NewMatch(match, at)},
		{"exemption", events.NewExempted(exemption())},
		{"exemption from all rules, for a reason that has to be cut", events.NewExempted(lifted)},
		{"exemption of a name", events.NewNameExempted(named)},
		{"reset", events.NewRuleReset(reset)},
		{"healed join", events.NewHealed(healedJoin())},
		{"healed end", events.NewHealed(ended)},
		{"healed change, behind the first number", events.NewHealed(still)},
		{"healed coach", events.NewHealed(coaching)},
		{"fetched after the end", events.NewFetched(fetched)},
		{"fetched, in forms that Twilio does not document", events.NewFetched(odd)},
		{"dialled leg", events.NewDialled(dialledLeg())},
		{"healed change, in a part of a second", events.NewHealed(inPart)},
		{"dialled leg that opens a room", events.NewDialled(opening)},
		{"intent", events.NewIntent(kick())},
		{"intent of a rule", events.NewIntent(rule)},
		{"intent on a room by its name", events.NewIntent(bare)},
		{"intent of a rule with a key", events.NewIntent(both)},
		{"outcome", events.NewOutcome(kick(), refusal())},
		{"outcome of a rule", events.NewOutcome(rule, why)},
	}
}

func dialledLeg() events.Dialled {
	return events.Dialled{
		ID: ulid, Key: key, CallSid: call, Status: "queued", Flags: "muted&coaching", Label: "müller\n& co", Coach: call,
		Timeout: 30 * time.Second, At: time.Date(2026, 8, 3, 9, 15, 2, 0, time.UTC),
	}
}

// fixedID is a form with one id in place of that of a wake or a re-read, which make their own.
func fixedID(form string) string {
	if !strings.HasPrefix(form, "Event=gavel-wake") && !strings.HasPrefix(form, "Event=gavel-reread") {
		return form
	}
	before, after, _ := strings.Cut(form, "&Id=")
	return before + "&Id=" + ulid + after[len(ulid):]
}

// said is all that can be read from an event.
func said(e events.Event) string {
	text := fmt.Sprintf("%s %s %s %s %d", e.Key(), e.CallSid, e.RecordingSid, e.Kind, e.SequenceNumber)
	add := func(content any, err error) { text += fmt.Sprintf(" | %+v %v", content, err) }
	switch e.Kind {
	case events.SpeechDropped:
		numbers, err := events.DroppedNumbers(e)
		add(numbers, err)
	case events.RulesLoaded:
		load, err := e.Load()
		add(load, err)
	case events.RuleMatch:
		match, err := e.Match()
		add(match, err)
	case events.Exempted:
		exemption, err := e.Exemption()
		add(exemption, err)
	case events.NameExempted:
		exemption, err := e.NameExemption()
		add(exemption, err)
	case events.RuleReset:
		reset, err := e.Reset()
		add(reset, err)
	case events.HealedFact:
		healed, err := e.Healed()
		add(healed, err)
	case events.ConferenceFetched:
		fetched, err := e.Fetched()
		add(fetched, err)
	case events.ParticipantDialled:
		dialled, err := e.Dialled()
		add(dialled, err)
	case events.ActionIntent, events.ActionOutcome:
		action, err := e.Action()
		add(action, err)
		if e.Kind == events.ActionOutcome {
			outcome, err := e.Outcome()
			add(outcome, err)
		}
	}
	return strings.ReplaceAll(text, "\n", "\\n")
}

// changeEveryParameter writes for each parameter of an entry, and for those that
// it may not have, which values are read and why the others are refused.
func changeEveryParameter(t *testing.T, b *strings.Builder, made ownEntry) {
	t.Helper()
	params, err := events.ParseForm(fixedID(made.entry.Form), events.MaxParams)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"ActorRule", "CallSid", "Behind", "Seen", "Status", "Novelty"}
	for _, p := range params {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	fmt.Fprintf(b, "%s, one parameter changed\n", made.name)
	for _, name := range slices.Compact(names) {
		answers := map[string][]string{}
		for _, value := range changes {
			changed := slices.DeleteFunc(slices.Clone(params), func(p events.Param) bool { return p.Name == name })
			if value != "absent" {
				changed = append(changed, events.Param{Name: name, Value: value})
			}
			answer := "is read"
			if _, err := events.Parse(entry(events.SourceGavel, changed.Encode())); err != nil {
				answer = err.Error()
			}
			if value == "" {
				value = "empty"
			}
			if value = strings.ReplaceAll(value, " ", "_"); len(value) > 40 {
				value = fmt.Sprintf("%s*%d", value[:1], len(value))
			}
			answers[answer] = append(answers[answer], value)
		}
		most := slices.MaxFunc(slices.Sorted(maps.Keys(answers)), func(a, b string) int { return cmp.Compare(len(answers[a]), len(answers[b])) })
		answers[most] = []string{"all others"}
		for _, answer := range slices.Sorted(maps.Keys(answers)) {
			fmt.Fprintf(b, "  %s %s: %s\n", name, answer, strings.Join(answers[answer], " "))
		}
	}
}

// changes are values of every form, and some of none.
var changes = []string{
	"absent", "", "7", "-1", "599", "600", "2147483647", "2147483648", "3-5,9", "5-3", "5,3", "3-5,5", "3-", "1,,2",
	ulid, "81ARZ3NDEKTSV4RRFFQ69G5FAV", decisionID, strings.ToUpper(decisionID),
	account, strings.ToLower(account), conference, call, recording, apiKey,
	"surge", "-surge", "End Orphaned", "a=b&c-1", strings.Repeat("a", 32), strings.Repeat("a", 33), strings.Repeat("a", 64),
	strings.Repeat("a", 65), strings.Repeat("x", 128), strings.Repeat("x", 129), strings.Repeat("x", 256), strings.Repeat("x", 257),
	strings.Repeat("x", 1024), strings.Repeat("x", 1025), strings.Repeat("x", 64<<10), strings.Repeat("x", 64<<10+1),
	"2026-08-03T09:15:02Z", "2026-08-03T09:15:02+01:00", "2026-08-03T09:15:02.5Z", "0001-01-01T00:00:00Z", "tomorrow",
	"end", "kick", "publish", "reboot", "done", "skipped", "perhaps", "Muted=true", "Muted=true&Hold=false", "To=%2B14155550100",
	"muted&hold", "hold&muted", "muted&muted", "conference-end", "participant-join", "participant-leave", "conference-start",
	"gavel-wake", "gavel-novelty",
}
