package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gavel/events"
	"gavel/internal/rulebook"
	"gavel/rules"
	"gavel/rules/schema"
)

// Files are real, and so is what reads them; the book is a page in memory, for
// virtual time. Which set may replace which is tested in the rule book.

// page remembers what was proposed and what was logged.
type page struct {
	mu       sync.Mutex
	active   *events.Load
	proposed []string // "<how> <length of time>"
	refused  []string
	err      error
	said     bytes.Buffer
}

func (p *page) Active() (events.Load, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.active == nil {
		return events.Load{}, false
	}
	return *p.active, true
}

func (p *page) Propose(_ context.Context, set *rules.Set, _ string, how rulebook.How) (rulebook.Proposal, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.proposed = append(p.proposed, fmt.Sprint(how, " ", set.Rules[0].For))
	if p.err != nil {
		return rulebook.Proposal{}, p.err
	}
	p.active = &events.Load{ID: "load", Version: set.Version}
	return rulebook.Proposal{Taken: true}, nil
}

func (p *page) Refuse(_ string, faults []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = faults
}

func (p *page) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(line)
}

// fails has all that is proposed from here on fail, or succeed again.
func (p *page) fails(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *page) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// ruleShelf is a rule file, and what became of it.
type ruleShelf struct {
	t    *testing.T
	path string
	page page
	*ruleFiles
}

func newRuleShelf(t *testing.T, text string) *ruleShelf {
	t.Helper()
	s := &ruleShelf{t: t, path: filepath.Join(t.TempDir(), "rules.yaml")}
	s.write(text)
	var err error
	s.ruleFiles, err = newRuleFiles(s.path, &s.page, nil, slog.New(slog.NewTextHandler(&s.page, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *ruleShelf) write(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// proposes compares all that was proposed so far.
func (s *ruleShelf) proposes(want ...string) {
	s.t.Helper()
	s.page.mu.Lock()
	defer s.page.mu.Unlock()
	if got := strings.Join(s.page.proposed, ", "); got != strings.Join(want, ", ") {
		s.t.Errorf("proposed: %s; want %s", got, want)
	}
}

func waits(length string) string {
	return "rules:\n  - name: end-orphaned\n    when: size(conference.live) == 1\n    for: " + length + "\n    do: [{end: {}}]\n"
}

// follows runs the files in virtual time, with a person who may send SIGHUP.
func (s *ruleShelf) follows() (hangup func()) {
	s.t.Helper()
	if err := s.start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	reloads := make(chan struct{})
	ctx, stop := context.WithCancel(s.t.Context())
	ended := make(chan error)
	go func() { ended <- s.run(ctx, reloads) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	})
	return func() { reloads <- struct{}{}; synctest.Wait() }
}

func pass(d time.Duration) {
	<-time.After(d) // virtual
	synctest.Wait()
}

func TestRuleFilesAreProposedWhenTheyChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newRuleShelf(t, waits("1m"))
		hangup := s.follows()
		pass(time.Minute)
		s.proposes("start 1m0s")
		s.write(waits("2m"))
		pass(6 * time.Second)
		s.proposes("start 1m0s", "change 2m0s")
		hangup()
		pass(time.Minute)
		s.proposes("start 1m0s", "change 2m0s", "change 2m0s")
	})
}

func TestFilesThatAreNotRightLeaveTheOldRulesInForce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newRuleShelf(t, waits("1m"))
		hangup := s.follows()
		s.write("rules:\n  - nome: x\n")
		pass(time.Minute)
		s.proposes("start 1m0s")
		if n := strings.Count(s.page.log(), "rules in force stay"); n != 1 || !strings.Contains(s.page.log(), "rules.yaml:2:5") {
			t.Errorf("said %d times:\n%s", n, s.page.log())
		}
		hangup()
		if n := strings.Count(s.page.log(), "rules in force stay"); n != 2 {
			t.Errorf("after SIGHUP said %d times", n)
		}
		if err := os.Remove(s.path); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if n := strings.Count(s.page.log(), "rules in force stay"); n != 3 {
			t.Errorf("without a file said %d times:\n%s", n, s.page.log())
		}
		s.write(waits("1m"))
		pass(6 * time.Second)
		s.proposes("start 1m0s", "change 1m0s")
	})
}

func TestAFileThatIsBeingWrittenIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newRuleShelf(t, waits("1m"))
		s.follows()
		s.write("rules:\n")
		pass(5*time.Second + rulesSettle/2)
		s.write(waits("3m"))
		pass(time.Minute)
		s.proposes("start 1m0s", "change 3m0s")
		if strings.Contains(s.page.log(), "not right") {
			t.Errorf("half a file was judged:\n%s", s.page.log())
		}
	})
}

func TestRulesAreProposedAgainUntilTheBucketAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newRuleShelf(t, waits("1m"))
		s.follows()
		s.page.fails(errors.New("no answer"))
		s.write(waits("2m"))
		pass(14 * time.Second)
		s.page.fails(nil)
		pass(time.Minute)
		s.proposes("start 1m0s", "change 2m0s", "change 2m0s", "change 2m0s")
	})
}

func TestAFirstStartNeedsFilesThatAreRight(t *testing.T) {
	t.Parallel()
	bent := newRuleShelf(t, "rules:\n  - nome: x\n")
	if err := bent.start(t.Context()); err == nil || !strings.Contains(err.Error(), "rules.yaml") {
		t.Errorf("bent: %v", err)
	}
	unsuited := newRuleShelf(t, waits("1m"))
	unsuited.check = func(*rules.Set) error { return errors.New("Twilio cannot reach this") }
	if err := unsuited.start(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot reach") {
		t.Errorf("unsuited: %v", err)
	}
	later := newRuleShelf(t, "rules:\n  - nome: x\n")
	later.page.active = &events.Load{Version: "before"}
	if err := later.start(t.Context()); err != nil || !strings.Contains(later.page.log(), "version=before") {
		t.Errorf("with rules in force: %v\n%s", err, later.page.log())
	}
	if r := later.page.refused; len(r) == 0 || !strings.Contains(r[0], "rules.yaml:2:") {
		t.Errorf("the status has the faults %q", r)
	}
	for _, s := range []*ruleShelf{bent, unsuited, later} {
		s.proposes()
	}
}

func TestRuleFilesSayWhoseTheyAre(t *testing.T) {
	t.Parallel()
	s := newRuleShelf(t, waits("1m"))
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if want := host + ":" + s.path; s.origin != want {
		t.Errorf("from %s, want %s", s.origin, want)
	}
}

// After an upgrade with a new check, the files of the rules in force are no proposal. Other files are.
func TestFilesThatAreInForceAreNotRefusedByNewChecks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newRuleShelf(t, waits("1m"))
		before, err := rules.Parse(readRuleFiles(s.path).files...)
		if err != nil {
			t.Fatal(err)
		}
		s.page.active = &events.Load{ID: "load", Version: before.Version}
		refusal := schema.Faults{{File: "rules.yaml", Line: 2, Column: 5, Message: "is no longer allowed", Since: 3}}
		s.parse = func(...rules.File) (*rules.Set, error) { return nil, refusal }
		s.follows()
		s.proposes("start 1m0s")
		if log := s.page.log(); strings.Contains(log, "level=ERROR") {
			t.Errorf("the rules in force are refused: %s", log)
		}
		s.write(waits("2m"))
		<-time.After(2 * rulesEvery) // virtual
		synctest.Wait()
		s.proposes("start 1m0s")
		if log := s.page.log(); !strings.Contains(log, "is no longer allowed") {
			t.Errorf("other rules are not refused: %s", log)
		}
	})
}
