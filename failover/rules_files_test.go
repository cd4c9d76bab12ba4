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

// publishesMute publishes once while any participant of a conference is muted.
const publishesMute = `
rules:
  - name: any-muted
    when: conference.live.exists(p, p.muted)
    do:
      - publish: {subject: floor.muted, data: {from: %q}}
    mode: live
`

// publishesCrowd is a second rule.
const publishesCrowd = `
  - name: crowd
    when: size(conference.live) >= 4
    do: [{publish: {subject: floor.crowd}}]
    mode: live
`

// Two processes have different rule files. The second reports that and follows
// the first. When an operator sends it SIGHUP, its rules come into force, in
// both processes and at one position of each lane.
func TestRulesOfTwoProcesses(t *testing.T) {
	t.Parallel()
	r := newRuled(t)
	one, other := fmt.Sprintf(publishesMute, "one"), fmt.Sprintf(publishesMute, "the other")
	first := r.gavel("all", r.ruleFile(one))
	second := r.gavel("all", r.ruleFile(other))
	mine, others := r.ruleVersion(one), r.ruleVersion(other)

	r.inForce(mine)
	r.follows(second, mine, others)
	if said := r.cli(second, "rules", "status"); !strings.Contains(said, mine) || !strings.Contains(said, "its own files are version "+others) {
		t.Errorf("gavel rules status prints\n%s", said)
	}
	if !strings.Contains(second.log.String(), "this process has other rules than those in force") {
		t.Error("the second process does not log that it has other rules")
	}
	r.mutesIn("support-1")
	r.publishedBy("one", 1)

	second.signal(syscall.SIGHUP)
	r.inForce(mine, others)
	r.follows(first, others, mine)
	r.follows(second, others, "")
	r.mutesIn("support-2")
	r.publishedBy("the other", 1)
	r.publishedBy("one", 1)
	r.converges()
}

// ruleVersion returns the version of a set of rules.
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

// follows waits until a process reports that this version is in force, and
// which version of its own files differs from it, if any.
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
			return fmt.Sprintf("%s reports %+v, want %s in force and %q of its own", g.name, status, version, own)
		}
		return ""
	})
}

// mutesIn is a call in which one participant is muted, and which goes on.
func (r *ruled) mutesIn(room string) {
	r.t.Helper()
	s := r.twilio.NewStory()
	s.Customer("customer").Calls(room)
	s.Agent("ana").Answers(room).Mutes()
	r.plays(s)
}

// publishedBy waits until one set of rules has published this many times.
func (r *ruled) publishedBy(from string, times int) {
	r.t.Helper()
	eventually(r.t, func() string {
		published := 0
		for _, d := range r.deeds("any-muted", rules.StepPublish) {
			if d.Data["from"] == from && d.how() == "done" {
				published++
			}
		}
		if published != times {
			return fmt.Sprintf("%q published %d times, want %d", from, published, times)
		}
		return ""
	})
}

// loadOnRules is how many callbacks arrive per second while the rules change.
const loadOnRules = 200

// A rule file changes under load. In each lane the old rules judge everything
// before the position of the change and the new ones everything after it; no
// occasion is decided twice; and the new rule judges every conference once.
func TestRulesAreReloadedUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRuled(t)
	published := r.subscribe("floor.muted")
	before, after := fmt.Sprintf(publishesMute, "before"), fmt.Sprintf(publishesMute, "after")+publishesCrowd
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

	muted := r.settled("any-muted", r.occasions())
	crowds := r.settled("crowd", len(r.rooms))
	by := map[string]int{}
	for _, d := range slices.Concat(muted, crowds) {
		by[d.Version]++
		if want := l.version(d.lane, d.at); d.Version != want {
			t.Errorf("lane %d, %s: judged by version %s, but %s was in force", d.lane, d.at, d.Version, want)
		}
	}
	if by[old] == 0 || by[fresh] == len(crowds) || len(by) != 2 {
		t.Errorf("judged by these versions: %v", by)
	}
	if published.received() != len(muted) {
		t.Errorf("%d mutes were published, want %d", published.received(), len(muted))
	}
	r.converges()
}

// settled waits until a rule has this many decisions, each with one outcome.
func (r *ruled) settled(rule string, decisions int) []deed {
	r.t.Helper()
	return r.end(rule, rules.StepPublish, map[string]int{"done": decisions})
}

// occasions counts in the journal, independently of the judge, how many times a
// conference changed to having a muted participant.
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

// muted reports whether any participant of a conference is muted.
func muted(c *projections.Conference) bool {
	return slices.ContainsFunc(c.Live(), func(p *projections.Participant) bool { return p.Flags.Value.Muted })
}
