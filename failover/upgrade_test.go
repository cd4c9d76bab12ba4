//go:build upgrade

package failover_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/internal/redistest"
	"gavel/internal/twilio/twiliofake"
	"gavel/rules"
	"gavel/views"
)

// writtenBy is the build that wrote the data: format 1, before formats had a number.
const writtenBy = "7921494855b586f9153020ccabb9e76bf04be642"

// oldBinary builds Gavel at the commit writtenBy, from the history of this repository.
var oldBinary = sync.OnceValues(func() (string, error) {
	if err := exec.Command("git", "cat-file", "-e", writtenBy+"^{commit}").Run(); err != nil {
		return "", fmt.Errorf("the history of this repository does not hold commit %s; fetch it with git fetch --unshallow", writtenBy)
	}
	source, archive, path := filepath.Join(workshop, "old"), filepath.Join(workshop, "old.tar"), filepath.Join(workshop, "gavel-old")
	if err := os.Mkdir(source, 0o700); err != nil {
		return "", err
	}
	build := goBuild("-o", path, "./cmd/gavel")
	build.Dir = source
	for _, command := range []*exec.Cmd{
		exec.Command("git", "-C", "..", "archive", "-o", archive, writtenBy),
		exec.Command("tar", "-xf", archive, "-C", source),
		build,
	} {
		if out, err := command.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build the old Gavel: %s: %w\n%s", command, err, out)
		}
	}
	return path, nil
})

func gavelBefore(t *testing.T) string { return made(t, oldBinary) }

// nextBinary builds this Gavel with the next engine: the next version that folds or judges in
// another way, with the same layout of the picture.
var nextBinary = sync.OnceValues(func() (string, error) {
	source, err := filepath.Abs("../events/rules.go")
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	const engine = "const Engine = %d"
	next := strings.Replace(string(text), fmt.Sprintf(engine, events.Engine), fmt.Sprintf(engine, events.Engine+1), 1)
	if next == string(text) {
		return "", fmt.Errorf("%s does not hold the engine %d", source, events.Engine)
	}
	changed, overlay, path := filepath.Join(workshop, "rules.go"), filepath.Join(workshop, "overlay.json"), filepath.Join(workshop, "gavel-next")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {source: changed}})
	if err == nil {
		err = errors.Join(os.WriteFile(changed, []byte(next), 0o600), os.WriteFile(overlay, replace, 0o600))
	}
	if err != nil {
		return "", err
	}
	if out, err := goBuild("-overlay", overlay, "-o", path, "gavel/cmd/gavel").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the next Gavel: %w\n%s", err, out)
	}
	return path, nil
})

func gavelNext(t *testing.T) string { return made(t, nextBinary) }

func made(t *testing.T, binary func() (string, error)) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// upgradeRules leave work unfinished when the old process stops: ladders between two steps,
// deadlines, decisions that the stop holds back, and a rule that is about to trip.
const upgradeRules = `
rules:
  - name: ladder
    when: conference.friendly_name.startsWith("ladder") && conference.status == "in-progress" && size(conference.live) == 1
    for: 1s
    do: [{announce: {say: "Are you still there?"}}, {wait: 30s}, {end: {}}]
    mode: live
  - name: deadline
    when: conference.friendly_name.startsWith("deadline") && conference.status == "in-progress" && size(conference.live) == 1
    for: 30s
    do: [{end: {}}]
    mode: live
  - name: flight
    when: conference.friendly_name.startsWith("flight") && conference.status == "in-progress" && size(conference.live) == 1
    for: 1s
    do: [{end: {}}]
    mode: live
  - name: braked
    when: conference.friendly_name.startsWith("braked") && conference.status == "in-progress" && size(conference.live) == 1
    for: 1s
    do: [{end: {}}]
    limits: {per_minute: 1000, trip_after: 2}
    mode: live
  - name: later
    when: conference.friendly_name.startsWith("later") && conference.status == "in-progress" && size(conference.live) == 1
    for: 1h
    do: [{end: {}}]
    mode: live
`

// comparesWithin is how soon after its start the new process must give the same
// answers as the old one. No deadline is reached by then.
const comparesWithin = 15 * time.Second

// The number of calls for each rule.
const (
	ladders   = 3
	deadlines = 4
	flights   = 3
	braked    = 2 // the number that trips the rule
	later     = 2 // their deadline is not reached
)

// The complete Gavel in one process is replaced: its NATS data is in the data
// directory, and its picture is filled at every start.
func TestUpgradeEmbedded(t *testing.T) {
	t.Parallel()
	w := &world{t: t, binary: gavelBefore, embedded: true, dataDir: t.TempDir(), lanes: 2}
	w.configure("nats: {lanes: 2, sync: always}\n")
	r := ruledIn(w)
	g, file := upgraded(t, r, filled)
	stopsWell := func(g *gavel) {
		if code := g.stop(); code != 0 {
			t.Errorf("%s exited with %d", g.name, code)
		}
	}
	stopsWell(g)
	w.openBus(shape{lanes: 2})
	want := w.journaled().ids
	w.closeBus()

	// The last callbacks arrived just before the stop: the next process publishes them.
	g = r.gavel("all", file)
	for key, ids := range want {
		eventually(t, func() string { return g.lacks(key, len(ids)) })
	}
	stopsWell(g)
	w.openBus(shape{lanes: 2})
	for key, ids := range want {
		w.published(key, ids)
	}
	r.engines(1, events.Engine)
}

// lacks says how many facts of a conference are missing in its timeline.
func (g *gavel) lacks(key events.Key, want int) string {
	var timeline struct{ Facts []json.RawMessage }
	err := g.read("/v1/conferences/"+key.ConferenceSid+"/timeline", &timeline)
	if err != nil || len(timeline.Facts) < want {
		return fmt.Sprintf("the timeline of %s has %d of %d facts (%v)", key.ConferenceSid, len(timeline.Facts), want, err)
	}
	return ""
}

// Gavel is replaced on an external NATS server and Redis, which keep running.
// The picture has another layout now, so each lane is filled once.
func TestUpgradeExternal(t *testing.T) {
	t.Parallel()
	w := &world{t: t, binary: gavelBefore, dataDir: t.TempDir(), lanes: 2}
	w.redis, w.nats = redistest.Start(t).URL(), startNATS(t, 1)
	w.configure("nats: {replicas: 1, lanes: 2, sync: always}\n")
	r := ruledIn(w)
	g, _ := upgraded(t, r, filled)
	if fills := g.counted("gavel_fills_total"); fills != 2 {
		t.Errorf("%v lanes were filled, want each of 2 once", fills)
	}
	w.openBus(shape{servers: 1, lanes: 2})
	w.converges()
	r.engines(1, events.Engine)
}

// A version with another engine and the same layout takes over without a fill: it finds ladders in
// progress, which end with a refused decision. Before it, a start of the same version changes no deadline.
func TestUpgradeWithoutAFill(t *testing.T) {
	t.Parallel()
	w := &world{t: t, binary: gavelBinary, dataDir: t.TempDir(), lanes: 2}
	w.redis, w.nats = redistest.Start(t).URL(), startNATS(t, 1)
	// Both versions would fetch conferences that ended, and answers would change between two looks.
	w.configure("nats: {replicas: 1, lanes: 2, sync: always}\nact: {fetch_ended: false}\n")
	r := ruledIn(w)
	g, _ := upgraded(t, r, unfilled)
	if fills := g.counted("gavel_fills_total"); fills != 0 {
		t.Errorf("%v lanes were filled", fills)
	}
	w.openBus(shape{servers: 1, lanes: 2})
	w.converges()
	r.engines(events.Engine, events.Engine+1)
}

// upgrade is one kind of upgrade.
type upgrade struct {
	from, to func(t *testing.T) string
	// restarts is whether the version before starts once more on its own data.
	restarts bool
	// refused are the ladders in progress whose end the new version records.
	refused map[string]int
}

var (
	filled = upgrade{from: gavelBefore, to: gavelBinary}
	// A decision that was made and not done ends with its own outcome.
	unfilled = upgrade{from: gavelBinary, to: gavelNext, restarts: true, refused: map[string]int{"ladder  engine-changed": ladders}}
)

// configure writes gavel.yaml.
func (w *world) configure(text string) {
	w.t.Helper()
	w.settings = filepath.Join(w.t.TempDir(), "gavel.yaml")
	rewrite(w.t, w.settings, text)
}

// upgraded leaves work unfinished under the version before, starts the new one on the same data, and
// expects the same answers as before and each action once. It returns the new process and its rule file.
func upgraded(t *testing.T, r *ruled, u upgrade) (*gavel, string) {
	t.Helper()
	u.from(t)
	u.to(t)
	began := time.Now() // without the time to build
	defer func() { t.Logf("it took %s", time.Since(began).Round(time.Second)) }()
	file := r.ruleFile(upgradeRules)
	old := r.gavel("all", file)
	rooms := r.leavesWorkUndone(old)
	before, armed := old.shows(rooms), old.armed()
	asked := r.desk.list()
	stops := func(g *gavel) {
		if code := g.stop(); code != 0 {
			t.Fatalf("%s exited with %d", g.name, code)
		}
	}
	stops(old)
	if u.restarts {
		old = r.gavel("all", file)
		within(t, comparesWithin, func() string { return cmp.Diff(armed, old.armed()) })
		stops(old)
	}
	r.binary = u.to
	g := r.gavel("all", file)
	within(t, comparesWithin, func() string { return changed(before, g.shows(rooms)) })
	if now := r.desk.list(); len(now) != len(asked) {
		t.Errorf("requests to Twilio before rules were resumed: %v", now[len(asked):])
	}
	within(t, patience, func() string { return restarted(armed, g.armed()) })

	r.cli(g, "resume", "--reason", "the new version is good")
	s := r.twilio.NewStory()
	leavesAlone(s, "braked-more") // the brakes remember the old process's actions
	r.plays(s)
	want := map[string]int{
		"ladder announce done": ladders, "ladder end done": ladders, "deadline end done": deadlines,
		"flight end done": flights, "braked end done": braked, "braked end tripped": 1,
		// What the old engine had decided and not done is not done either; the new one decides again.
		"flight end overtaken": flights,
	}
	maps.Copy(want, u.refused)
	r.ended(g, want)
	r.eachOnce(g.decisions())
	if n := g.counted("gavel_lane_restarts_total"); n != 0 {
		t.Errorf("lanes stopped %v times", n)
	}
	return g, file
}

// deadline is one entry of /v1/armed. Its conference, rule and kind identify it.
type deadline struct {
	Name  string `json:"friendly_name"`
	Rule  string
	Waits views.Wait `json:"waits_for"`
	Due   time.Time
}

// armed returns the deadlines that are not reached during a story, by room.
func (g *gavel) armed() map[string]deadline {
	g.t.Helper()
	var list struct{ Deadlines []deadline }
	eventually(g.t, func() string { return said(g.read("/v1/armed", &list)) })
	all := map[string]deadline{}
	for _, d := range list.Deadlines {
		if d.Rule == "later" || d.Waits == views.WaitExemption {
			all[d.Name] = d
		}
	}
	return all
}

// restarted returns how the deadlines under another engine differ from what they have to be: an
// exemption ends when it did before, and the time of a rule runs from the upgrade.
func restarted(before, after map[string]deadline) string {
	want := map[string]deadline{}
	for room, d := range before {
		if now := after[room].Due; d.Waits != views.WaitExemption && now.After(d.Due) {
			d.Due = now
		} else if d.Waits != views.WaitExemption {
			return fmt.Sprintf("the deadline of %s is %s, which the former engine set", room, now)
		}
		want[room] = d
	}
	return cmp.Diff(want, after)
}

// engines expects that a newer engine came into force once in each lane, with the set that was in force.
func (r *ruled) engines(older, newer int) {
	r.t.Helper()
	type loaded struct {
		version string
		engine  int
	}
	lanes := make([][]loaded, r.lanes)
	r.journal(events.RulesLoaded, func(lane int, _ events.Position, e *events.Event) error {
		l, err := e.Load()
		lanes[lane] = append(lanes[lane], loaded{l.Version, l.Engine})
		return err
	})
	for lane, got := range lanes {
		if len(got) != 2 || got[0].engine != older || got[1] != (loaded{got[0].version, newer}) {
			r.t.Errorf("lane %d has the loads %+v, want the same set with engines %d and %d", lane, got, older, newer)
		}
	}
}

// leavesWorkUndone returns the rooms of all conferences.
func (r *ruled) leavesWorkUndone(g *gavel) (rooms []string) {
	r.t.Helper()
	s := r.twilio.NewStory()
	acted := append(roomNames("ladder", ladders), roomNames("braked", braked)...)
	leavesAlone(s, acted...)
	r.plays(s)
	r.ended(g, map[string]int{"ladder announce done": ladders, "braked end done": braked})
	r.stops(g)

	waiting := slices.Concat(roomNames("deadline", deadlines), roomNames("flight", flights), roomNames("later", later))
	leavesAlone(s, waiting...)
	customer, agent := s.Customer("customer").Calls("talks"), s.Agent("ana").Answers("talks")
	agent.Holds(customer)
	agent.TakesBack(customer)
	customer.Mutes()
	s.Customer("customer").Calls("over")
	s.Agent("ana").Answers("over")
	s.Ends("over")
	r.plays(s)
	r.ended(g, map[string]int{
		"ladder announce done": ladders, "braked end done": braked, "flight end ": flights,
	})
	r.cli(g, "exempt", "talks", "--for", "2h", "--reason", "an important call")
	eventually(r.t, func() string {
		if armed := g.armed(); len(armed) != later+1 {
			return fmt.Sprintf("the deadlines %v are armed, want those of %d conferences and one exemption", armed, later)
		}
		if waits := r.waits("stopped"); waits < flights {
			return fmt.Sprintf("%d decisions wait for the stop to end, want %d", waits, flights)
		}
		return ""
	})
	return slices.Concat(acted, waiting, []string{"talks", "over"})
}

// decision is one entry of /v1/decisions.
type decision struct {
	ID     string
	Rule   string
	Do     rules.StepKind
	Reason rules.Reason // of one that was refused
	Answer *struct{ Result, Why string }

	ConferenceSid string `json:"conference_sid"`
}

func (g *gavel) decisions() []decision {
	g.t.Helper()
	var list struct{ Decisions []decision }
	eventually(g.t, func() string { return said(g.read("/v1/decisions?limit=200", &list)) })
	return list.Decisions
}

// said is the text of an error, "" for nil. A busy machine may answer 503 for a moment.
func said(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// ended waits until this many decisions of each rule and step have ended in each way.
func (r *ruled) ended(g *gavel, want map[string]int) {
	r.t.Helper()
	within(r.t, 2*patience, func() string {
		got := map[string]int{}
		for _, d := range g.decisions() {
			how := string(d.Reason)
			if d.Answer != nil {
				how = d.Answer.Result
				if how == "lapsed" || d.Answer.Why == "already" {
					how = "overtaken" // Twilio got no request for it
				}
			}
			got[d.Rule+" "+string(d.Do)+" "+how]++
		}
		if !maps.Equal(got, want) {
			return fmt.Sprintf("decisions ended in these ways: %v, want %v", got, want)
		}
		return ""
	})
}

// eachOnce expects that each step of each call was done once, by one request to Twilio.
func (r *ruled) eachOnce(all []decision) {
	r.t.Helper()
	decided := map[string]int{}
	for _, d := range all {
		if d.Answer != nil && d.Answer.Result == string(events.Done) && d.Answer.Why != "already" {
			decided[d.Rule+" "+string(d.Do)+" "+d.ConferenceSid]++
		}
	}
	for what, times := range decided {
		if times != 1 {
			r.t.Errorf("%s was done %d times", what, times)
		}
	}
	const ends = ladders + deadlines + flights + braked
	if n := r.twilio.Tally(twiliofake.EndConference); n.Asked != ends || n.Done != ends {
		r.t.Errorf("%d requests to Twilio to end a call, %d calls ended, want %d", n.Asked, n.Done, ends)
	}
	played := r.twilio.Played()
	for announcement, times := range played {
		if times != 1 {
			r.t.Errorf("%s was played %d times", announcement, times)
		}
	}
	if len(played) != ladders {
		r.t.Errorf("%d announcements were played, want %d", len(played), ladders)
	}
}

// shows returns all that a process answers about conferences, by path.
func (g *gavel) shows(rooms []string) map[string]any {
	g.t.Helper()
	// Deadlines and decisions are left out: the new engine begins each condition again.
	paths := []string{"/v1/conferences?limit=200", "/v1/stop", "/v1/deadletters"}
	for _, room := range rooms {
		paths = append(paths, "/v1/conferences/"+room, "/v1/conferences/"+room+"/timeline")
	}
	all := map[string]any{}
	for _, path := range paths {
		status, body, err := g.get(path)
		if err != nil {
			g.t.Fatal(err)
		}
		var value any
		if err := json.Unmarshal(body, &value); err != nil || status != http.StatusOK {
			value = fmt.Sprintf("%d: %s", status, body)
		}
		withoutClock(value)
		if timeline, is := value.(map[string]any); is {
			delete(timeline, "decisions")
		}
		all[path] = value
	}
	return all
}

// changed returns the first difference between two sets of answers to the same requests.
func changed(before, after map[string]any) string {
	for _, path := range slices.Sorted(maps.Keys(before)) {
		if diff := cmp.Diff(before[path], after[path]); diff != "" {
			return path + " has changed (-old +new):\n" + diff
		}
	}
	return ""
}

// withoutClock removes what depends on the time of the request: the lengths of
// what is still in progress. It also removes sentences for people, which a new
// version may word in another way; their facts are compared.
func withoutClock(value any) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			withoutClock(item)
		}
	case map[string]any:
		delete(v, "in_seconds")
		delete(v, "words")
		if v["connected"] == true {
			for _, still := range []string{"present_seconds", "held_seconds", "muted_seconds"} {
				delete(v, still)
			}
		}
		for _, item := range v {
			withoutClock(item)
		}
	}
}
