package project_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gavel/events"
	"gavel/handlers/project"
	"gavel/projections"
	"gavel/rules"
)

// The rules are real, and so are the streams of decisions and of alarms. A shelf
// stands in for the bucket of rule sets, and time is what the entries say.

// shelf is a rule book in memory.
type shelf struct {
	mu     sync.Mutex
	sets   map[string]*rules.Set
	active events.Load
	faults []string
}

func newShelf() *shelf { return &shelf{sets: map[string]*rules.Set{}} }

// put makes rules known, and returns how they come into force.
func (s *shelf) put(t *testing.T, text string) events.Load {
	t.Helper()
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Text: text})
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sets[set.Version] = set
	return events.Load{ID: events.NewULID(), Version: set.Version}
}

// activate sets the rules that are to be in force everywhere.
func (s *shelf) activate(l events.Load) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active = l
}

func (s *shelf) Active() (events.Load, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active, s.active.ID != ""
}

var errUnknownVersion = errors.New("no rule set has that version")

func (s *shelf) Set(_ context.Context, version string) (*rules.Set, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if set := s.sets[version]; set != nil {
		return set, nil
	}
	return nil, errUnknownVersion
}

func (s *shelf) Decided(string, rules.Verdict, time.Time) {}

func (s *shelf) Fault(rule, in, _ string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, rule+" "+in)
}

// ruled is a stack with rules. Its clock stands at the time that a test gives it.
type ruled struct {
	*stack
	shelf *shelf
	began time.Time
	mu    sync.Mutex
	time  time.Time
}

func newRuled(t *testing.T, s *stack) *ruled {
	t.Helper()
	// An hour ago, so that all alarms of these tests are overdue for NATS.
	began := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	return &ruled{stack: s, shelf: newShelf(), began: began, time: began}
}

// at is some seconds after the test's beginning.
func (r *ruled) at(seconds int) time.Time { return r.began.Add(time.Duration(seconds) * time.Second) }

func (r *ruled) set(seconds int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.time = r.at(seconds)
}

func (r *ruled) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.time
}

func (r *ruled) config() project.Config {
	c := r.stack.config()
	c.RuleBook, c.Actions, c.Timers, c.Listing = r.shelf, r.bus.Actions(), r.bus.Timers(), r.store
	c.Now = r.now
	return c
}

// tellAt appends a callback that came so many seconds after the beginning. When
// it happened is as many as its number, so that doubles are doubles.
func (r *ruled) tellAt(t *testing.T, seconds int, c told) {
	t.Helper()
	form, err := url.ParseQuery(c.form())
	if err != nil {
		t.Fatal(err)
	}
	form.Set("Timestamp", r.at(c.seq).Format(time.RFC1123Z))
	e := events.Entry{Source: events.SourceCallback, ReceivedAt: r.at(seconds), Form: form.Encode()}
	if err := r.bus.Journal().Append(t.Context(), conferenceSid(c.conference), e); err != nil {
		t.Fatalf("append: %v", err)
	}
}

func (r *ruled) wakeAt(t *testing.T, seconds, conference int) {
	t.Helper()
	r.appendOwn(t, conferenceSid(conference), events.NewWake(keyOf(conference), r.at(seconds)))
}

// loadAt brings rules into force in every lane.
func (r *ruled) loadAt(t *testing.T, seconds int, l events.Load) {
	t.Helper()
	l.At = r.at(seconds)
	for lane := range r.bus.Lanes() {
		if err := r.bus.Journal().AppendLane(t.Context(), lane, events.NewRulesLoaded(l)); err != nil {
			t.Fatal(err)
		}
	}
	r.shelf.activate(l)
}

func keyOf(conference int) events.Key {
	return events.Key{AccountSid: account, ConferenceSid: conferenceSid(conference)}
}

// decided are all decisions that are kept, as "rule step verdict seconds", sorted by time.
func (r *ruled) decided(t *testing.T) []string {
	t.Helper()
	all, _, err := r.bus.Actions().Before(t.Context(), events.Key{}, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]string, len(all))
	for i, kept := range all {
		var d rules.Decision
		if err := json.Unmarshal(kept.Data, &d); err != nil {
			t.Fatal(err)
		}
		out[i] = r.describe(d)
		if kept.ID != d.ID || kept.Rule != d.Rule || !kept.AsOf.Equal(d.AsOf) || kept.Key.ConferenceSid != d.ConferenceSid {
			t.Errorf("%+v is kept of decision %+v", kept, d)
		}
	}
	slices.Sort(out)
	return out
}

func (r *ruled) describe(d rules.Decision) string {
	conference := "-"
	if d.ConferenceSid != "" {
		conference = strings.TrimLeft(d.ConferenceSid[2:], "0")
	}
	return fmt.Sprintf("%s %s %s %s %s", d.AsOf.Sub(r.began), conference, d.Rule, d.Do, d.Verdict)
}

func (r *ruled) wantDecided(t *testing.T, want ...string) {
	t.Helper()
	if got := r.decided(t); !slices.Equal(got, want) {
		t.Errorf("decided:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// kept is the rule state of a conference as it is stored.
func (r *ruled) kept(t *testing.T, conference int) string {
	t.Helper()
	got, err := r.store.Conference(t.Context(), keyOf(conference))
	if err != nil {
		t.Fatalf("read conference %d: %v", conference, err)
	}
	return string(got.Rules)
}

// oracle judges the journal in the plainest way: every conference at once when
// rules are loaded, and one entry after the other.
type oracle struct {
	t         *testing.T
	shelf     *shelf
	set       *rules.Set
	loads     map[string]bool
	records   map[string]*projections.Conference
	states    map[string]*rules.State
	tallies   map[string]rules.Tally
	decisions map[string]rules.Decision
}

func (r *ruled) oracle(t *testing.T) *oracle {
	t.Helper()
	o := &oracle{
		t: t, shelf: r.shelf, set: &rules.Set{}, loads: map[string]bool{}, records: map[string]*projections.Conference{},
		states: map[string]*rules.State{}, tallies: map[string]rules.Tally{}, decisions: map[string]rules.Decision{},
	}
	last, err := r.bus.Journal().Last(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	err = r.bus.Journal().Read(t.Context(), 0, 1, last, func(g events.Group) error {
		return g.Split(func(_ int, raw events.Entry) error {
			e, err := events.ParseStored(raw)
			if err != nil {
				return fmt.Errorf("parse: %w", err)
			}
			return o.tell(&e)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *oracle) tell(e *events.Event) error {
	switch e.Kind {
	case events.RulesLoaded:
		return o.load(e)
	case events.RuleMatch:
		return o.match(e)
	}
	before := o.records[e.ConferenceSid]
	fresh := e.Kind == events.Exempted
	if e.Kind != events.Wake && e.Kind != events.Reread && e.Kind != events.Exempted {
		after, folded, err := projections.Fold(before, e)
		if err != nil {
			return err
		}
		o.records[e.ConferenceSid], fresh = after, folded
	}
	if in, says := rules.InputOf(e, fresh); says {
		o.judge(e.ConferenceSid, o.set, before, in)
	}
	return nil
}

func (o *oracle) judge(sid string, set *rules.Set, before *projections.Conference, in rules.Input) {
	j := rules.Judge(set, o.states[sid], before, in, o.records[sid])
	o.states[sid] = j.State
	o.take(j.Decisions)
}

func (o *oracle) take(decisions []rules.Decision) {
	for _, d := range decisions {
		if _, known := o.decisions[d.ID]; !known && d.Verdict != rules.Match {
			o.decisions[d.ID] = d
		}
	}
}

func (o *oracle) load(e *events.Event) error {
	l, err := e.Load()
	if err != nil || o.loads[l.ID] {
		return err
	}
	o.loads[l.ID] = true
	set, err := o.shelf.Set(context.Background(), l.Version)
	if err != nil {
		return err
	}
	for sid, record := range o.records {
		o.judge(sid, o.set, record, rules.Input{ID: l.ID, At: l.At})
		o.judge(sid, set, record, rules.Input{ID: l.ID, At: l.At, Loaded: rules.LoadOf(o.set, set)})
	}
	o.set = set
	return nil
}

func (o *oracle) match(e *events.Event) error {
	m, err := e.Match()
	if err != nil {
		return err
	}
	var d rules.Decision
	if err := json.Unmarshal([]byte(m.Decision), &d); err != nil {
		return err
	}
	tally, decisions := rules.JudgeCount(o.set, o.tallies[d.Rule+d.By], d)
	o.tallies[d.Rule+d.By] = tally
	o.take(decisions)
	return nil
}

// judgedRight compares what is decided and stored with the oracle.
func (r *ruled) judgedRight(t *testing.T) {
	t.Helper()
	o := r.oracle(t)
	var want []string
	for _, d := range o.decisions {
		want = append(want, r.describe(d))
	}
	slices.Sort(want)
	r.wantDecided(t, want...)
	for sid, record := range o.records {
		if record == nil {
			continue
		}
		raw, err := rules.EncodeState(o.states[sid])
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.ParseInt(sid[2:], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.kept(t, int(n)); got != string(raw) {
			t.Errorf("conference %d: state is\n  %s\nwant\n  %s", n, got, raw)
		}
	}
}

// rebuiltAlike rebuilds the picture and compares the state of rules.
func (r *ruled) rebuiltAlike(t *testing.T, p *project.Projector, conferences ...int) {
	t.Helper()
	look := func() map[string]string {
		all := map[string]string{}
		for lane := range r.bus.Lanes() {
			state, err := r.store.LaneState(t.Context(), lane)
			if err != nil {
				t.Fatal(err)
			}
			all["lane "+strconv.Itoa(lane)] = string(state)
		}
		for _, n := range conferences {
			all["conference "+strconv.Itoa(n)] = r.kept(t, n)
		}
		return all
	}
	before := look()
	if err := p.Rebuild(t.Context(), func(int, uint64, uint64) {}); err != nil {
		t.Fatal(err)
	}
	if after := look(); !maps.Equal(before, after) {
		t.Errorf("after the rebuild it is\n%v\nbefore it was\n%v", after, before)
	}
}

const orphan = `rules: [{name: orphan, mode: live, when: size(conference.live) == 1, for: 20s, do: [end: {}]}]`

func TestARuleDecidesOnceHoweverOftenItIsWoken(t *testing.T) {
	t.Parallel()
	r := newRuled(t, newStack(t))
	r.loadAt(t, 0, r.shelf.put(t, orphan))
	p, _ := run(t, r.config())
	r.tellAt(t, 1, told{1, 0, events.ParticipantJoin, 1})
	r.settled(t)
	if r.kept(t, 1) == "" {
		t.Error("no state is kept of a rule whose time runs")
	}
	r.wakeAt(t, 5, 1)
	r.wakeAt(t, 40, 1)
	r.wakeAt(t, 40, 1)
	r.wakeAt(t, 50, 1)
	r.tellAt(t, 60, told{1, 1, events.ParticipantMute, 1})
	r.settled(t)
	r.wantDecided(t, "21s 1 orphan end act")
	r.judgedRight(t)
	r.rebuiltAlike(t, p, 1)
}
