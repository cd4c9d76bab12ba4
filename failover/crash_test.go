package failover_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"gavel/events"
	"gavel/internal/crashpoint"
	"gavel/internal/twilio/twiliofake"
	"gavel/rules"
)

const (
	// crashPasses is the range of the crash: the process dies at the first to
	// the crashPasses-th time that it reaches the point.
	crashPasses = 2
	// crashesAtOnce limits the stories that run in parallel. Each spends most of its time waiting.
	crashesAtOnce = 8
	// settlesWithin is the maximum time from a decision to its outcome. It includes the time after
	// which NATS redelivers what a dead process had fetched.
	settlesWithin = 3 * time.Minute
	// checkSeldom is the interval between reads of the journal.
	checkSeldom = 500 * time.Millisecond
)

// crashRules perform one action of each kind: some that converge when repeated, one that people
// hear, some that are published, and one that counts over many conferences.
const crashRules = `
rules:
  - name: left-alone
    when: conference.status == "in-progress" && size(conference.live) == 1
    for: 1s
    do:
      - announce: {say: "Are you still there?"}
      - wait: 1s
      - end: {}
    mode: live
  - name: no-intruders
    each: participant
    when: participant.label == "intruder"
    do: [{kick: {}}]
    mode: live
  - name: no-noise
    each: participant
    when: participant.label == "noisy" && !participant.muted
    do: [{mute: {}}]
    mode: live
  - name: parked
    each: participant
    when: participant.label == "parked" && !participant.hold
    do: [{hold: {}}]
    mode: live
  - name: welcome
    each: participant
    when: participant.label == "host"
    do: [{announce: {say: "Welcome.", to: participant}}]
    mode: live
  - name: customer-came
    when: event.kind == "participant-join" && participant.label == "customer"
    do:
      - publish: {subject: floor.customers}
      - webhook: {url: "%s"}
    mode: live
  - name: two-endings
    when: event.kind == "conference-end"
    count: {by: account, within: 10m, at_least: 2}
    do: [{publish: {subject: floor.endings}}]
    mode: live
`

// crashSettings allow a webhook receiver on this machine.
const crashSettings = "webhooks: {secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz, allow: [127.0.0.1], http: true}\n"

// crashWants are the steps that the story must lead to, and how many times.
var crashWants = map[string]int{
	"left-alone announce": 1, "left-alone end": 1,
	"welcome announce": 1, "no-intruders kick": 1, "no-noise mute": 1, "parked hold": 1,
	"customer-came publish": 1, "customer-came webhook": 1,
	"two-endings publish": 1,
}

var crashBinary = built("gavel-that-crashes", "gavel/cmd/gavel", "-tags", "crashpoints")

// A process dies between two steps of a decision's life, at each of these points, and is started
// again. Every decision has been performed once, or published under one id, and has an outcome.
func TestADecisionOutlivesACrash(t *testing.T) {
	t.Parallel()
	places := make(chan struct{}, crashesAtOnce)
	for _, point := range crashpoint.All {
		for seed := range crashSeeds {
			t.Run(fmt.Sprintf("%s-%d", point, seed), func(t *testing.T) {
				t.Parallel()
				places <- struct{}{}
				defer func() { <-places }()
				c := newCrash(t, point, seed)
				c.plays()
				c.checks()
			})
		}
	}
}

// crash is one story with one crash in it.
type crash struct {
	*world
	t       *testing.T
	point   string // and the number of the pass
	twilio  *twiliofake.Twilio
	api     string
	url     string // Gavel's
	rules   string // path
	notices *notices
	died    atomic.Bool
}

func newCrash(t *testing.T, point crashpoint.Point, seed int) *crash {
	t.Helper()
	chance := rand.New(rand.NewPCG(uint64(seed), uint64(len(point))))
	w := newWorld(t, shape{lanes: 2})
	c := &crash{world: w, t: t, point: fmt.Sprintf("%s:%d", point, 1+chance.IntN(crashPasses))}
	if seed == 0 {
		c.point = string(point) + ":1" // every story reaches the first pass
	}
	port := freePorts(t, 1)[0]
	c.url = fmt.Sprintf("http://127.0.0.1:%d", port)
	c.notices = c.subscribes()
	c.sets(crashSettings)
	c.rules = filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(c.rules, fmt.Appendf(nil, crashRules, c.notices.url), 0o600); err != nil {
		t.Fatal(err)
	}
	c.opensTwilio()
	c.lives()
	return c
}

// sets adds to the settings of all processes.
func (w *world) sets(text string) {
	w.t.Helper()
	f, err := os.OpenFile(w.settings, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// opensTwilio starts the stand-in. It retries its callbacks for as long as
// Twilio can be configured to.
func (c *crash) opensTwilio() {
	c.t.Helper()
	c.twilio = twiliofake.New(twiliofake.Config{
		AccountSid: account, AuthToken: token, FetchAnnouncements: true,
		Status: twiliofake.Subscription{URL: c.url + "/twilio/conference#rc=5&rp=all"},
	})
	server := httptest.NewServer(c.twilio.Handler())
	c.api = server.URL
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.twilio.Run(ctx) }()
	c.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			c.t.Error(err)
		}
		server.Close()
	})
}

// lives starts the process that will die, and starts another one in its place.
func (c *crash) lives() {
	c.t.Helper()
	b := c.process(crashBinary(c.t), crashVariable+"="+c.point)
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-b.ended:
			c.died.Store(true)
			c.process(gavelBinary(c.t))
		case <-over:
		}
	}()
	c.t.Cleanup(func() { close(over); <-ended })
	c.awaitRules()
}

// awaitRules waits until the rules are in force in every lane: rules about
// single events do not judge earlier entries.
func (c *crash) awaitRules() {
	c.t.Helper()
	withinChecking(c.t, patience, checkSeldom, func() string {
		loaded := 0
		c.journal(events.RulesLoaded, func(int, events.Position, *events.Event) error { loaded++; return nil })
		if loaded < c.lanes {
			return fmt.Sprintf("the rules are in force in %d lanes", loaded)
		}
		return ""
	})
}

// crashVariable is the environment variable that a build with crash points reads.
const crashVariable = "GAVEL_CRASH"

// process starts one process of Gavel.
func (c *crash) process(binary string, environment ...string) *gavel {
	command := c.command("all", "--listen", strings.TrimPrefix(c.url, "http://"), "--public-url", c.url,
		"--twilio-api", c.api, "--rules", c.rules)
	command.Path, command.Args[0] = binary, binary
	command.Env = append(command.Env, environment...)
	c.started++
	g := &gavel{name: fmt.Sprintf("all-%d", c.started), url: c.url}
	g.process = startProcess(c.t, g.name, command, io.Discard)
	return g
}

// plays runs the story: in one room a caller is left alone; in the other are
// participants whom the rules act on, until the host leaves.
func (c *crash) plays() {
	c.t.Helper()
	s := c.twilio.NewStory()
	s.Customer("customer").Calls("support-1")
	agent := s.Agent("agent-ana").Answers("support-1")
	s.Passes(200 * time.Millisecond)
	agent.HangsUp()
	host := s.Agent("host").EndsOnExit().Calls("party-1")
	s.Agent("intruder").Calls("party-1")
	s.Agent("noisy").Calls("party-1")
	s.Agent("parked").Calls("party-1")
	c.act(s)
	c.settles("left-alone announce", "left-alone end", "welcome announce", "no-intruders kick", "no-noise mute", "parked hold",
		"customer-came publish", "customer-came webhook")
	host.HangsUp()
	c.act(s)
	c.settles("two-endings publish")
}

func (c *crash) act(s *twiliofake.Story) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	if err := s.Plays(ctx); err != nil {
		c.t.Fatal(err)
	}
}

// settles waits until these steps were decided and every decision has an outcome.
func (c *crash) settles(wants ...string) {
	c.t.Helper()
	withinChecking(c.t, settlesWithin, checkSeldom, func() string {
		decisions, ended := c.decided(), c.endings()
		times := map[string]int{}
		for _, d := range decisions {
			if d.Verdict != rules.Act {
				continue
			}
			times[d.Rule+" "+string(d.Do)]++
			if len(ended[d.ID]) == 0 {
				return fmt.Sprintf("%s %s has no outcome", d.Rule, d.Do)
			}
		}
		for _, want := range wants {
			if times[want] == 0 {
				return fmt.Sprintf("%s was not decided; decided were %v", want, times)
			}
		}
		return ""
	})
}

// decided returns all decisions.
func (c *crash) decided() []rules.Decision {
	c.t.Helper()
	kept, _, err := c.bus.Actions().Before(c.t.Context(), events.Key{}, 0, 1000)
	if err != nil {
		c.t.Fatal(err)
	}
	decisions := make([]rules.Decision, len(kept))
	for i := range kept {
		if err := json.Unmarshal(kept[i].Data, &decisions[i]); err != nil {
			c.t.Fatal(err)
		}
	}
	return decisions
}

// checks asserts what a crash must not change.
func (c *crash) checks() {
	c.t.Helper()
	times := map[string]int{}
	ended := c.endings()
	for _, d := range c.decided() {
		if d.Verdict != rules.Act {
			c.t.Errorf("%s %s: %s %s", d.Rule, d.Do, d.Verdict, d.Reason)
			continue
		}
		times[d.Rule+" "+string(d.Do)]++
		if times[d.Rule+" "+string(d.Do)] > 1 {
			c.t.Errorf("%s %s was decided twice for %s", d.Rule, d.Do, d.Occasion)
		}
		if results := ended[d.ID]; len(results) != 1 || !results[string(events.Done)] {
			c.t.Errorf("%s %s of %s has the results %v", d.Rule, d.Do, d.Occasion, results)
		}
	}
	if !maps.Equal(times, crashWants) {
		c.t.Errorf("decided steps: %v, want %v", times, crashWants)
	}
	for url, times := range c.twilio.Played() {
		if times > 1 {
			c.t.Errorf("%s was played %d times", url, times)
		}
	}
	c.notices.check(c.t)
	c.converges()
	if !c.died.Load() {
		c.t.Errorf("no process reached %s", c.point)
	}
	c.t.Logf("died at %s; requests to Twilio: %d ends, %d kicks, %d updates", c.point,
		c.twilio.Tally(twiliofake.EndConference).Asked, c.twilio.Tally(twiliofake.KickParticipant).Asked,
		c.twilio.Tally(twiliofake.UpdateParticipant).Asked)
}

// notices holds what subscribers and the webhook's receiver received.
type notices struct {
	url string
	mu  sync.Mutex
	ids map[string]map[string]int // by destination, then by id
}

// subscribes opens the subscriptions before the story starts.
func (c *crash) subscribes() *notices {
	c.t.Helper()
	n := &notices{ids: map[string]map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.note("webhook", r.Header.Get("Webhook-Id"))
		w.WriteHeader(http.StatusNoContent)
	}))
	n.url = server.URL
	conn, err := nats.Connect(urls(c.nats))
	if err != nil {
		c.t.Fatal(err)
	}
	_, err = conn.Subscribe("floor.*", func(m *nats.Msg) { n.note(m.Subject, m.Header.Get("Nats-Msg-Id")) })
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close(); server.Close() })
	return n
}

func (n *notices) note(where, id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ids[where] == nil {
		n.ids[where] = map[string]int{}
	}
	n.ids[where][id]++
}

// check requires at least one notice for each destination, all under one id.
func (n *notices) check(t *testing.T) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, where := range []string{"floor.customers", "floor.endings", "webhook"} {
		if len(n.ids[where]) != 1 {
			t.Errorf("%s received the ids %v, want one", where, n.ids[where])
		}
	}
}
