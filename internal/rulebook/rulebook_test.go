package rulebook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gavel/internal/bus"
	"gavel/internal/bus/jet"
	"gavel/internal/rulebook"
	"gavel/rules"
	"gavel/rules/schema"
)

// NATS (embedded) and rules are real here. A bucket in front of the real one
// simulates another process that writes first, or a lost network.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	here  = "one:/etc/gavel/rules"
	there = "two:/etc/gavel/rules"
)

func bucket(t *testing.T) *jet.Guarded {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{DataDir: t.TempDir(), Sync: bus.SyncInterval}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return b.Rules()
}

// set returns a set with one rule whose `for` is that many minutes.
func set(t *testing.T, minutes int) *rules.Set {
	t.Helper()
	text := fmt.Sprintf("rules:\n  - name: end-orphaned\n    when: size(conference.live) == 1 && \"<\" != \"&\"\n    for: %dm\n    do: [{end: {}}]\n", minutes)
	s, err := rules.Parse(rules.File{Name: "rules.yaml", Text: text})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// process is a Book, and what it logged.
type process struct {
	*rulebook.Book
	said *bytes.Buffer
}

func open(t *testing.T, b rulebook.Bucket) process {
	t.Helper()
	said := &bytes.Buffer{}
	book, err := rulebook.Open(t.Context(), b, slog.New(slog.NewTextHandler(said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return process{book, said}
}

func (p process) propose(t *testing.T, s *rules.Set, origin string, how rulebook.How) rulebook.Proposal {
	t.Helper()
	done, err := p.Propose(t.Context(), s, origin, how)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// inForce returns the version that a process follows if it opens the bucket now.
func inForce(t *testing.T, b rulebook.Bucket) string {
	t.Helper()
	load, _ := open(t, b).Active()
	return load.Version
}

func TestTheFirstSetComesIntoForce(t *testing.T) {
	t.Parallel()
	shared, first := bucket(t), set(t, 1)
	p := open(t, shared)
	if load, ok := p.Active(); ok || p.Status().InForce != nil {
		t.Errorf("in force before the first proposal: %+v", load)
	}
	done := p.propose(t, first, here, rulebook.Start)
	want := rulebook.InForce{Load: done.InForce.Load, Version: first.Version, Since: done.InForce.Since, Origin: here, By: rulebook.Start}
	if diff := cmp.Diff(rulebook.Proposal{Taken: true, InForce: want}, done); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for name, p := range map[string]process{"the proposer": p, "a later process": open(t, shared)} {
		load, ok := p.Active()
		if !ok || load.ID != want.Load || len(load.ID) != 26 || load.Version != first.Version || !load.At.Equal(want.Since) {
			t.Errorf("%s: %+v, %v", name, load, ok)
		}
		if diff := cmp.Diff(rulebook.Status{InForce: &want, Faults: []rulebook.Fault{}}, p.Status()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestTheSameSetIsNoChange(t *testing.T) {
	t.Parallel()
	shared := bucket(t)
	before := open(t, shared).propose(t, set(t, 1), here, rulebook.Start)
	for _, how := range []rulebook.How{rulebook.Start, rulebook.Change} {
		done := open(t, shared).propose(t, set(t, 1), there, how)
		if diff := cmp.Diff(rulebook.Proposal{InForce: before.InForce}, done); diff != "" {
			t.Errorf("%s: -want +got:\n%s", how, diff)
		}
	}
}

func TestAProcessThatStartsReplacesOnlyItsOwnRules(t *testing.T) {
	t.Parallel()
	shared := bucket(t)
	open(t, shared).propose(t, set(t, 1), here, rulebook.Start)

	foreign := open(t, shared)
	done := foreign.propose(t, set(t, 2), there, rulebook.Start)
	if done.Taken || !done.Follows(set(t, 2).Version) || inForce(t, shared) != set(t, 1).Version {
		t.Errorf("a start activated foreign rules: %+v", done)
	}
	if own := foreign.Status().Own; own != set(t, 2).Version {
		t.Errorf("its own rules are %q", own)
	}
	for _, word := range []string{"follows those in force", "SIGHUP", here, there, set(t, 1).Version, set(t, 2).Version} {
		if !strings.Contains(foreign.said.String(), word) {
			t.Errorf("the log does not contain %s: %s", word, foreign.said)
		}
	}
	// An operator sends SIGHUP to that process.
	if done := foreign.propose(t, set(t, 2), there, rulebook.Change); !done.Taken || foreign.Status().Own != "" {
		t.Errorf("SIGHUP: %+v, own %q", done, foreign.Status().Own)
	}
	if done := open(t, shared).propose(t, set(t, 1), here, rulebook.Start); done.Taken {
		t.Error("a restart undid an operator's change in another process")
	}
	if done := open(t, shared).propose(t, set(t, 3), there, rulebook.Start); !done.Taken || inForce(t, shared) != set(t, 3).Version {
		t.Errorf("its own rules at its next start: %+v", done)
	}
}

// faster lets another process propose between a read and the write after it.
type faster struct {
	rulebook.Bucket
	rival func()
	once  *sync.Once
}

func (f faster) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if key == "active" {
		f.once.Do(f.rival)
	}
	return f.Bucket.Update(ctx, key, value, revision)
}

func TestAProposalThatLosesTheRaceIsDecidedAgain(t *testing.T) {
	t.Parallel()
	for how, want := range map[rulebook.How]string{
		rulebook.Start:  set(t, 1).Version, // another process's rules are in force by then
		rulebook.Change: set(t, 2).Version, // the later change wins
	} {
		shared := bucket(t)
		rival := func() { open(t, shared).propose(t, set(t, 1), there, rulebook.Change) }
		open(t, faster{shared, rival, new(sync.Once)}).propose(t, set(t, 2), here, how)
		if got := inForce(t, shared); got != want {
			t.Errorf("%s: %s is in force, want %s", how, got, want)
		}
	}
}

func TestOtherProcessesFollowTheRulesInForce(t *testing.T) {
	t.Parallel()
	shared := bucket(t)
	follower := open(t, shared)
	run(t, follower)
	first := open(t, shared).propose(t, set(t, 1), here, rulebook.Start)
	eventually(t, "the first is followed", func() bool { load, _ := follower.Active(); return load.ID == first.InForce.Load })
	follower.propose(t, set(t, 1), there, rulebook.Start)
	if own := follower.Status().Own; own != "" {
		t.Errorf("its own rules are shown as %q, although they are in force", own)
	}
	second := open(t, shared).propose(t, set(t, 2), here, rulebook.Change)
	eventually(t, "the second is followed", func() bool { load, _ := follower.Active(); return load.ID == second.InForce.Load })

	if own := follower.Status().Own; own != set(t, 1).Version {
		t.Errorf("its own rules are shown as %q, want those that were replaced", own)
	}
	got, err := follower.Set(t.Context(), set(t, 1).Version)
	if err != nil || got.Version != set(t, 1).Version || got.Rule("end-orphaned").For != time.Minute {
		t.Errorf("the set before: %+v, %v", got, err)
	}
}

func TestSetsAreReadAndCompiledOnce(t *testing.T) {
	t.Parallel()
	counted := &weather{Bucket: bucket(t)}
	open(t, counted).propose(t, set(t, 1), here, rulebook.Start)
	p := open(t, counted)
	before := counted.reads.Load()
	first, err := p.Set(t.Context(), set(t, 1).Version)
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.Set(t.Context(), set(t, 1).Version)
	if err != nil || again != first || counted.reads.Load() != before+1 {
		t.Errorf("%v: the same %v, %d reads", err, again == first, counted.reads.Load()-before)
	}
}

func TestSetsThatCannotBeLoadedAreErrors(t *testing.T) {
	t.Parallel()
	shared := &weather{Bucket: bucket(t)}
	p := open(t, shared)
	for version, value := range map[string]string{
		"newer": `[{"Name":"a.yaml","Text":"rules:\n  - name: x\n    when: \"true\"\n    do: [{teleport: {}}]\n"}]`,
		"bent":  `{`,
		"other": `[{"Name":"a.yaml","Text":"rules: []"}]`,
	} {
		if _, err := shared.Update(t.Context(), "set."+version, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
		if got, err := p.Set(t.Context(), version); err == nil || errors.Is(err, rulebook.ErrUnknownVersion) {
			t.Errorf("%s: %v, %v", version, got, err)
		}
	}
	var faults schema.Faults
	if _, err := p.Set(t.Context(), "newer"); !errors.As(err, &faults) {
		t.Errorf("newer: %v", err)
	}
	if _, err := p.Set(t.Context(), "never"); !errors.Is(err, rulebook.ErrUnknownVersion) {
		t.Errorf("never: %v", err)
	}
	shared.down.Store(true)
	if _, err := p.Set(t.Context(), "later"); !errors.Is(err, errDown) {
		t.Errorf("while the bucket does not answer: %v", err)
	}
	shared.down.Store(false)
	if _, err := p.Set(t.Context(), "later"); !errors.Is(err, rulebook.ErrUnknownVersion) {
		t.Errorf("after the outage: %v", err)
	}
}

func TestASetThatCannotBeStoredDoesNotComeIntoForce(t *testing.T) {
	t.Parallel()
	shared := bucket(t)
	p := open(t, shared)
	for name, text := range map[string]string{
		"too big": strings.Repeat("\n", 600<<10), // twice as long in JSON
		"no text": "# \xff\n",
	} {
		s := &rules.Set{Version: "v", Files: []rules.File{{Name: "a.yaml", Text: text}}}
		if _, err := p.Propose(t.Context(), s, here, rulebook.Change); !errors.Is(err, rulebook.ErrCannotKeep) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok := p.Active(); ok || inForce(t, shared) != "" {
		t.Error("a set is in force")
	}
}

func TestAProcessKeepsItsRulesWhileTheBucketDoesNotAnswer(t *testing.T) {
	t.Parallel()
	shared := &weather{Bucket: bucket(t)}
	p := open(t, shared)
	p.propose(t, set(t, 1), here, rulebook.Start)
	shared.down.Store(true)
	if _, err := p.Propose(t.Context(), set(t, 2), here, rulebook.Change); !errors.Is(err, errDown) {
		t.Errorf("propose: %v", err)
	}
	if _, err := rulebook.Open(t.Context(), shared, slog.New(slog.DiscardHandler)); !errors.Is(err, errDown) {
		t.Errorf("open: %v", err)
	}
	before := shared.reads.Load()
	run(t, p)
	eventually(t, "the process reads again", func() bool { return shared.reads.Load() > before })
	if load, ok := p.Active(); !ok || load.Version != set(t, 1).Version {
		t.Errorf("%+v, %v", load, ok)
	}
}

var errDown = errors.New("bucket is down")

// weather is a bucket whose network can fail.
type weather struct {
	rulebook.Bucket
	reads atomic.Int64
	down  atomic.Bool
}

func (w *weather) Read(ctx context.Context, key string) ([]byte, uint64, error) {
	w.reads.Add(1)
	if w.down.Load() {
		return nil, 0, errDown
	}
	return w.Bucket.Read(ctx, key)
}

func (w *weather) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if w.down.Load() {
		return 0, errDown
	}
	return w.Bucket.Update(ctx, key, value, revision)
}

// run runs the process until the test ends.
func run(t *testing.T, p process) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); p.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(what + ": not within a minute")
		}
	}
}
