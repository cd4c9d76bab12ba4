package failover_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gavel/events"
	"gavel/projections"
	"gavel/rules"
)

// tellsOfMute says so, once for as long as anybody in a conference is muted.
const tellsOfMute = `
rules:
  - name: somebody-muted
    when: conference.live.exists(p, p.muted)
    do:
      - publish: {subject: floor.muted, data: {from: %q}}
    mode: live
`

// tellsOfCrowd is one more rule.
const tellsOfCrowd = `
  - name: crowd
    when: size(conference.live) >= 4
    do: [{publish: {subject: floor.crowd}}]
    mode: live
`

// Two processes have different rule files. The second says so and follows the
// first. A person who sends it SIGHUP means it: from then on its rules are in
// force, in both, and at one place of each lane.
func TestRulesOfTwoProcesses(t *testing.T) {
	t.Parallel()
	r := newRuled(t)
	one, other := fmt.Sprintf(tellsOfMute, "one"), fmt.Sprintf(tellsOfMute, "the other")
	first := r.gavel("all", r.ruleFile(one))
	second := r.gavel("all", r.ruleFile(other))
	mine, others := r.ruleVersion(one), r.ruleVersion(other)

	r.inForce(mine)
	r.follows(second, mine, others)
	if said := r.cli(second, "rules", "status"); !strings.Contains(said, mine) || !strings.Contains(said, "its own files are version "+others) {
		t.Errorf("gavel rules status says\n%s", said)
	}
	if !strings.Contains(second.log.String(), "this process has other rules than those in force") {
		t.Error("the second process does not say that it has other rules")
	}
	r.mutesIn("support-1")
	r.toldBy("one", 1)

	second.signal(syscall.SIGHUP)
	r.inForce(mine, others)
	r.follows(first, others, mine)
	r.follows(second, others, "")
	r.mutesIn("support-2")
	r.toldBy("the other", 1)
	r.toldBy("one", 1)
	r.converges()
}

// ruleVersion is what a set of rules is called.
func (r *ruled) ruleVersion(text string) string {
	r.t.Helper()
	files, err := rules.ReadFiles(r.ruleFile(text))
	if err != nil {
		r.t.Fatal(err)
	}
	set, err := rules.Parse(files...)
	if err != nil {
		r.t.Fatal(err)
	}
	return set.Version
}

// follows waits until a process says that this version is in force and has
// another of its own, or none.
func (r *ruled) follows(g *gavel, version, own string) {
	r.t.Helper()
	eventually(r.t, func() string {
		var status struct {
			InForce struct{ Version string } `json:"in_force"`
			Own     string                   `json:"own_version"`
		}
		if err := g.read("/v1/rules", &status); err != nil {
			return err.Error()
		}
		if status.InForce.Version != version || status.Own != own {
			return fmt.Sprintf("%s says %+v, want %s in force and %q of its own", g.name, status, version, own)
		}
		return ""
	})
}

// mutesIn is a call in which somebody is muted, and goes on.
func (r *ruled) mutesIn(room string) {
	r.t.Helper()
	s := r.twilio.NewStory()
	s.Customer("customer").Calls(room)
	s.Agent("ana").Answers(room).Mutes()
	r.plays(s)
}

// toldBy waits until one set of rules has told of so many.
func (r *ruled) toldBy(from string, times int) {
	r.t.Helper()
	eventually(r.t, func() string {
		told := 0
		for _, d := range r.deeds("somebody-muted", rules.StepPublish) {
			if d.Data["from"] == from && d.how() == "done" {
				told++
			}
		}
		if told != times {
			return fmt.Sprintf("%q told %d times, want %d", from, told, times)
		}
		return ""
	})
}

// loadOnRules is how many callbacks a second come in while the rules change.
const loadOnRules = 200

// A file changes under load. In each lane everything before the load is judged
// by the old rules and everything behind it by the new ones; no occasion is
// decided twice for it; and the rule that is new judges every conference once.
func TestRulesAreReloadedUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRuled(t)
	told := r.subscribe("floor.muted")
	before, after := fmt.Sprintf(tellsOfMute, "before"), fmt.Sprintf(tellsOfMute, "after")+tellsOfCrowd
	path := r.ruleFile(before)
	r.gavel("all", path)
	r.gavel("project", "")
	old, fresh := r.ruleVersion(before), r.ruleVersion(after)
	r.inForce(old)

	load := r.callbacks(loadOnRules, r.board.url)
	pass(t, settleTime)
	rewrite(t, path, after)
	l := r.inForce(old, fresh)
	pass(t, settleTime)
	if missing := unanswered(load.stop()); missing != "" {
		t.Error(missing)
	}

	muted := r.settled("somebody-muted", r.occasions())
	crowds := r.settled("crowd", len(r.rooms))
	by := map[string]int{}
	for _, d := range slices.Concat(muted, crowds) {
		by[d.Version]++
		if want := l.version(d.lane, d.at); d.Version != want {
			t.Errorf("lane %d, %s: judged by version %s, in force was %s", d.lane, d.at, d.Version, want)
		}
	}
	if by[old] == 0 || by[fresh] == len(crowds) || len(by) != 2 {
		t.Errorf("judged by these versions: %v", by)
	}
	if told.heard() != len(muted) {
		t.Errorf("%d were told of %d", told.heard(), len(muted))
	}
	r.converges()
}

// settled waits until so many were told by a rule, each with one outcome.
func (r *ruled) settled(rule string, decisions int) []deed {
	r.t.Helper()
	return r.end(rule, rules.StepPublish, map[string]int{"done": decisions})
}

// occasions counts in the journal, independently of whoever judges, how often
// it came to be so that somebody was muted.
func (r *ruled) occasions() (times int) {
	r.t.Helper()
	records := map[events.Key]*projections.Conference{}
	r.journal("", func(_ int, _ events.Position, e *events.Event) error {
		key := e.Key()
		if key.ConferenceSid == "" {
			return nil
		}
		before := records[key]
		after, fresh, err := projections.Fold(before, e)
		if err != nil || !fresh {
			return err
		}
		if muted(after) && (before == nil || !muted(before)) {
			times++
		}
		records[key] = after
		return nil
	})
	return times
}

// muted reports whether anybody in a conference is.
func muted(c *projections.Conference) bool {
	return slices.ContainsFunc(c.Live(), func(p *projections.Participant) bool { return p.Flags.Value.Muted })
}
