package rules_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"gavel/events"
	"gavel/rules"
	"gavel/rules/condition"
	"gavel/rules/schema"
)

// The example of the reference page, as a new user would try it.
const orphaned = `
rules:
  - name: end-orphaned
    description: One caller left with hold music costs money and helps nobody.
    on: [participant-leave, participant-join]
    when: conference.status == "in-progress" && size(conference.live) == 1
    for: 2m
    unless: conference.friendly_name.startsWith("vip-")
    do:
      - announce: {say: "Are you still there?"}
      - wait: 30s
      - end: {}
    mode: shadow
    limits: {per_minute: 10, trip_after: 50}
`

func TestTheExampleRuleLoads(t *testing.T) {
	t.Parallel()
	r := only(t, orphaned)
	if r.Name != "end-orphaned" || r.Line != 3 || r.File != "rules.yaml" || r.For != 2*time.Minute || r.Mode != rules.Shadow || r.Each != rules.EachConference {
		t.Errorf("the rule is %+v", r)
	}
	if r.Again != 15*time.Minute || r.Attempts != 3 || r.Limits != (rules.Limits{PerMinute: 10, TripAfter: 50}) || r.PerEvent() || !r.AtTwilio() {
		t.Errorf("its defaults are %+v", r)
	}
	if diff := cmp.Diff(condition.KindsOf(events.ParticipantLeave, events.ParticipantJoin), r.On); diff != "" {
		t.Errorf("on (-want +got):\n%s", diff)
	}
	var kinds []rules.StepKind
	for _, s := range r.Do {
		kinds = append(kinds, s.Kind)
	}
	if diff := cmp.Diff([]rules.StepKind{rules.StepAnnounce, rules.StepWait, rules.StepEnd}, kinds); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if say, constant := r.Do[0].Params["say"].Constant(); !constant || say != "Are you still there?" || r.Do[1].Wait != 30*time.Second {
		t.Errorf("step parameters are %q and %s", say, r.Do[1].Wait)
	}
}

// Some editors put a byte order mark before a text.
func TestAByteOrderMarkIsIgnored(t *testing.T) {
	t.Parallel()
	if r := only(t, "\ufeff"+orphaned); r.Name != "end-orphaned" || r.Line != 3 {
		t.Errorf("the rule is %+v", r)
	}
}

// An upgrade may bring a check that refuses what an earlier build accepted. Such a set is judged as
// before; a mistake that every build refuses still is one.
func TestANewCheckRefusesAProposalAndNotASetInForce(t *testing.T) {
	t.Parallel()
	parse, accept := rules.CheckedSince(3, "end-orphaned")
	file := rules.File{Name: "rules.yaml", Text: orphaned}
	var faults schema.Faults
	if _, err := parse(file); !errors.As(err, &faults) || len(faults) != 1 {
		t.Errorf("as a proposal: %v", err)
	}
	set, err := accept(file)
	if err != nil {
		t.Fatal(err)
	}
	want := "rules.yaml:3:5: rule end-orphaned: the name is no longer allowed"
	if len(set.Warnings) != 1 || set.Warnings[0].String() != want || set.Warnings[0].Since != 3 {
		t.Errorf("warnings %v, want %s", set.Warnings, want)
	}
	before, err := rules.Parse(file)
	if err != nil || set.Version != before.Version || set.Rules[0].Version != before.Rules[0].Version || set.Rules[0].For != 2*time.Minute {
		t.Errorf("%v: the set is %+v, without the check %+v", err, set.Rules[0], before.Rules[0])
	}
	file.Text += "    colour: red\n"
	if _, err := accept(file); !errors.As(err, &faults) || len(faults) != 2 {
		t.Errorf("with an unknown key: %v", err)
	}
	if set, err := rules.ParseAccepted(rules.File{Name: "rules.yaml", Text: orphaned}); err != nil || len(set.Warnings) > 0 {
		t.Errorf("without new checks: %v, %v", set, err)
	}
}

func TestOmittedKeysHaveDefaults(t *testing.T) {
	t.Parallel()
	r := only(t, `
rules:
  - name: tell
    each: participant
    when: participant.hold
    do: [{publish: {subject: calls.held, data: {who: "${participant.call_sid}", queue: 7}}}]
`)
	if r.Mode != rules.Shadow || r.Limits != (rules.Limits{}) || r.Again != 0 || r.Attempts != 1 || r.For != 0 || r.Unless != nil || r.Count != nil {
		t.Errorf("the rule is %+v", r)
	}
	if r.On.Has("recording-completed") || !r.On.Has(events.ParticipantModify) || !r.On.Has("participant-wave") {
		t.Errorf("on is %v", r.On.Sorted())
	}
	if r.Do[0].Data["queue"].String() != "7" || r.Do[0].To != rules.EachConference || r.Do[0].OnFailure != rules.Stop {
		t.Errorf("the step is %+v", r.Do[0])
	}
}

func TestOnIsDerivedFromTheCondition(t *testing.T) {
	t.Parallel()
	for when, want := range map[string]condition.Kinds{
		`event.kind == "participant-leave" && before.status == "in-progress"`:                          condition.KindsOf(events.ParticipantLeave),
		`conference.recordings.exists(r, r.status == "failed")`:                                        condition.KindsOf(events.ConferenceRecordEnd, "recording-in-progress", "recording-completed", "recording-absent", "recording-failed"),
		`conference.reason_conference_ended == "last-participant-left"`:                                condition.KindsOf(events.ConferenceEnd),
		`account == "AC00000000000000000000000000000001"`:                                              condition.Known,
		`conference.reason_conference_ended == "" && conference.live.exists(p, p.label == "customer")`: condition.ChangesParticipants,
	} {
		r := only(t, "rules:\n  - name: r\n    when: |\n      "+when+"\n    do: [{publish: {subject: a.b}}]\n")
		if diff := cmp.Diff(want, r.On); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
}

// A leg that joins is a subject that was not judged before, whatever the condition reads.
func TestARuleForEachParticipantIsJudgedAtAJoin(t *testing.T) {
	t.Parallel()
	r := only(t, "rules: [{name: r, each: participant, when: 'conference.reason_conference_ended == \"\"', do: [{kick: {}}]}]")
	if !r.On.Has(events.ParticipantJoin) || r.On.Has("recording-failed") {
		t.Errorf("on is %v", r.On.Sorted())
	}
}

// A condition about one event cannot still hold fifteen minutes later.
func TestARuleAboutEventsTriesOnce(t *testing.T) {
	t.Parallel()
	r := only(t, "rules: [{name: r, when: 'event.kind == \"participant-leave\"', do: [{end: {}}]}]")
	if !r.PerEvent() || r.Again != 0 || r.Attempts != 1 {
		t.Errorf("the rule is %+v", r)
	}
}

// Parse reports all mistakes at once, as a compiler does. The stories in
// testdata/faults contain rule files and the faults reported for them.
func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	stories, err := filepath.Glob("testdata/faults/*.txtar")
	if err != nil || len(stories) == 0 {
		t.Fatalf("no stories found: %v", err)
	}
	for _, path := range stories {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			story, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files, want := storyOf(story)
			_, err = rules.Parse(files...)
			var faults schema.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("the error is %v", err)
			}
			got := err.Error() + "\n"
			if *update {
				story.Files[len(story.Files)-1].Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(story), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

// update rewrites the expected faults of the stories; check the difference before you commit it.
var update = flag.Bool("update", false, "rewrite the faults in testdata/faults")

func storyOf(story *txtar.Archive) (files []rules.File, faults string) {
	for _, f := range story.Files {
		if f.Name == "faults" {
			faults = string(f.Data)
			continue
		}
		files = append(files, rules.File{Name: f.Name, Text: string(f.Data)})
	}
	return files, faults
}

func TestSameFilesAreTheSameVersionInAnyOrder(t *testing.T) {
	t.Parallel()
	a := rules.File{Name: "a.yaml", Text: orphaned}
	b := rules.File{Name: "b.yaml", Text: strings.Replace(orphaned, "end-orphaned", "other", 1)}
	first, second := parse(t, a, b), parse(t, b, a)
	if first.Version != second.Version || first.Rules[0].Name != "end-orphaned" || second.Rules[0].Name != "end-orphaned" {
		t.Errorf("versions are %s and %s", first.Version, second.Version)
	}
	if changed := parse(t, a); changed.Version == first.Version {
		t.Errorf("another set has the same version %s", changed.Version)
	}
}

// A running ladder is stopped when its rule changes in meaning, and only then.
func TestARuleHasANewVersionOnlyIfItsMeaningChanges(t *testing.T) {
	t.Parallel()
	was := only(t, orphaned)
	for name, text := range map[string]string{
		"comment":     strings.Replace(orphaned, "for: 2m", "for: 2m # minutes", 1),
		"description": strings.Replace(orphaned, "costs money", "is sad", 1),
		"spelling":    strings.Replace(orphaned, `"Are you still there?"`, `'Are you still there?'`, 1),
		"order":       strings.Replace(strings.Replace(orphaned, "    mode: shadow\n", "", 1), "    for: 2m\n", "    mode: shadow\n    for: 2m\n", 1),
	} {
		if is := only(t, text); is.Version != was.Version {
			t.Errorf("a changed %s gives the rule another version", name)
		}
	}
	for name, text := range map[string]string{
		"for":  strings.Replace(orphaned, "for: 2m", "for: 3m", 1),
		"text": strings.Replace(orphaned, "still there", "there", 1),
		"mode": strings.Replace(orphaned, "mode: shadow", "mode: live", 1),
	} {
		if is := only(t, text); is.Version == was.Version {
			t.Errorf("a changed %s does not give the rule another version", name)
		}
	}
}

func TestFileLevelKeysApplyToTheWholeSet(t *testing.T) {
	t.Parallel()
	set := parse(t, rules.File{Name: "rules.yaml", Text: orphaned}, rules.File{Name: "house.yaml", Text: `
rules: [{name: r, when: "true", do: [{webhook: {url: "https://example.com/hook"}}]}]
exempt: {labels: [supervisor-*], names: ["vip-*"]}
quiet_hours: {tz: Europe/Berlin, from: "22:00", to: "07:00"}
accounts: [AC00000000000000000000000000000001]
ceiling: {per_minute: 60}
`})
	if diff := cmp.Diff(rules.Exempt{Labels: []string{"supervisor-*"}, Names: []string{"vip-*"}}, set.Exempt); diff != "" {
		t.Errorf("exempt (-want +got):\n%s", diff)
	}
	if set.Ceiling.PerMinute != 60 || !set.For("AC00000000000000000000000000000001") || set.For("AC00000000000000000000000000000002") {
		t.Errorf("the set is %+v", set)
	}
	if set.Rule("end-orphaned") == nil || set.Rule("nobody") != nil {
		t.Error("rules are not found by their names")
	}
	for clock, quiet := range map[string]bool{"20:59": false, "21:00": true, "03:00": true, "05:59": true, "06:00": false, "12:00": false} {
		now, err := time.Parse(time.DateTime, "2026-11-02 "+clock+":00") // UTC; Berlin is an hour ahead
		if err != nil {
			t.Fatal(err)
		}
		if set.QuietHours.At(now) != quiet || set.QuietHours.Do != rules.QuietHold {
			t.Errorf("quiet at %s UTC: %v", clock, !quiet)
		}
	}
	var none *rules.QuietHours
	if none.At(time.Now()) {
		t.Error("quiet without quiet hours defined")
	}
}

func TestReadFilesSkipsTestsOfRules(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if _, err := rules.ReadFiles(folder); !errors.Is(err, rules.ErrNoRules) {
		t.Errorf("an empty folder: %v", err)
	}
	for _, name := range []string{"a.yaml", "b.yml", "a_test.yaml", "b_test.yml", "notes.md"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := rules.ReadFiles(folder)
	if diff := cmp.Diff([]rules.File{{Name: "a.yaml", Text: "a.yaml"}, {Name: "b.yml", Text: "b.yml"}}, files); diff != "" || err != nil {
		t.Errorf("%v; files (-want +got):\n%s", err, diff)
	}
	if files, err = rules.ReadFiles(filepath.Join(folder, "b.yml")); err != nil || len(files) != 1 {
		t.Errorf("one file: %v, %v", files, err)
	}
	if _, err := rules.ReadFiles(filepath.Join(folder, "none.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func parse(t *testing.T, files ...rules.File) *rules.Set {
	t.Helper()
	set, err := rules.Parse(files...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func only(t *testing.T, text string) *rules.Rule {
	t.Helper()
	set := parse(t, rules.File{Name: "rules.yaml", Text: text})
	if len(set.Rules) != 1 {
		t.Fatalf("%d rules", len(set.Rules))
	}
	return set.Rules[0]
}

// The reference page shows whole files.
func TestExamplesOnThePageLoad(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```yaml\n")
	for n := 0; found; n++ {
		var example string
		example, rest, _ = strings.Cut(rest, "```")
		if r := only(t, example); n == 0 && r.Version != only(t, orphaned).Version {
			t.Error("the first example is not the rule that is tested here")
		}
		_, rest, found = strings.Cut(rest, "```yaml\n")
	}
}

// FuzzParse searches for files that make the parser panic, and for faults
// without a place.
func FuzzParse(f *testing.F) {
	f.Add(orphaned)
	f.Add("rules: [{name: a, when: 'x', do: [{end: {}}]}]\n---\n")
	f.Add("a: &x [1]\nb: *x\n<<: {c: !!int d}")
	f.Fuzz(func(t *testing.T, text string) {
		set, err := rules.Parse(rules.File{Name: "f.yaml", Text: text})
		var faults schema.Faults
		if err == nil == (set == nil) || err != nil && !errors.As(err, &faults) {
			t.Fatalf("%v and %v", set, err)
		}
		for _, fault := range faults {
			if fault.Line < 1 || fault.Column < 1 || fault.Message == "" {
				t.Errorf("a fault is at %d:%d: %q", fault.Line, fault.Column, fault.Message)
			}
		}
	})
}
