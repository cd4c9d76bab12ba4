package app_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gavel/internal/twilio/twiliofake"
)

// join starts a conference of two legs, and returns its SID.
func (c *company) join(room string) (sid string) {
	c.t.Helper()
	leg := twiliofake.Leg{StartConferenceOnEnter: true, Status: twiliofake.Subscription{URL: "http://" + c.Info().Public + "/twilio/conference"}}
	for range 2 {
		var err error
		if sid, _, err = c.fake.Join(room, leg); err != nil {
			c.t.Fatal(err)
		}
	}
	return sid
}

// until polls, because no signal leaves the process.
func (c *company) until(what string, is func() bool) {
	c.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(2 * time.Minute); !is(); {
		select {
		case <-tick.C:
		case <-deadline:
			c.t.Fatal("it took too long until " + what)
		}
	}
}

// decisions are what the stream of decisions has of a conference.
func (c *company) decisions(sid string) int {
	status, text := c.process.call(http.MethodGet, "/v1/decisions", "")
	if status != http.StatusOK {
		return 0
	}
	return strings.Count(text, `"conference_sid":"`+sid)
}

// lines collects a log.
type lines struct {
	sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.Buffer.Write(p)
}

func (l *lines) has(text string) bool {
	l.Lock()
	defer l.Unlock()
	return strings.Contains(l.String(), text)
}

// The stream of decisions is damaged while some wait. Their actions were not taken, without a sign.
func TestDecisionsThatAreLostAreMadeAgain(t *testing.T) {
	t.Parallel()
	c := openCompany(t)
	c.call("before")
	c.want(http.MethodPost, "/v1/stop", `{"reason":"test"}`, http.StatusOK, "")
	waiting := []string{c.join("first"), c.join("second")}
	c.until("both decisions are stored", func() bool { return c.decisions(waiting[0])+c.decisions(waiting[1]) == 2 })
	c.leave(false)
	block := c.decisionsBlock()
	// Without its index NATS reads the block, and ends at the damage, as after a kill.
	if err := os.Remove(filepath.Join(filepath.Dir(block), "index.db")); err != nil {
		t.Fatal(err)
	}
	if !flip(t, block, "gavel.actions."+journalAccount+"."+waiting[0]) {
		t.Fatal("the decision is not in the block")
	}
	log := new(lines)
	c.options.Log = slog.New(slog.NewTextHandler(log, nil))
	c.start(t)
	defer c.stop()
	c.until("the decisions are stored again", func() bool { return c.decisions(waiting[0])+c.decisions(waiting[1]) == 2 })
	if !log.has("decision was damaged in the store and is stored again") || !log.has("conference_sid="+waiting[0]) {
		t.Errorf("the log does not name the decision:\n%s", log.String())
	}
	c.want(http.MethodPost, "/v1/resume", `{"reason":"test"}`, http.StatusOK, "")
	for _, sid := range waiting {
		c.until("the action is taken", func() bool {
			_, kinds := c.facts(sid)
			return slices.Contains(kinds, "gavel.gavel-outcome.v1")
		})
	}
	if got := c.fake.Tally(twiliofake.EndConference); got.Asked != 3 {
		t.Errorf("%d requests for three conferences: %+v", got.Asked, got)
	}
	c.want(http.MethodGet, "/v1/journal", "", http.StatusOK, `"held":[]`)
}

// After a clean stop NATS counts the damaged message and refuses another one for its subject, so the log
// has to name what is not done.
func TestADecisionThatCannotBeStoredAgainIsNamed(t *testing.T) {
	t.Parallel()
	c := openCompany(t)
	c.want(http.MethodPost, "/v1/stop", `{"reason":"test"}`, http.StatusOK, "")
	sid := c.join("first")
	c.until("the decision is stored", func() bool { return c.decisions(sid) == 1 })
	c.leave(false)
	if !flip(t, c.decisionsBlock(), "gavel.actions."+journalAccount+"."+sid) {
		t.Fatal("the decision is not in the block")
	}
	log := new(lines)
	c.options.Log = slog.New(slog.NewTextHandler(log, nil))
	c.start(t)
	defer c.stop()
	if !log.has("decision is damaged in the store") || !log.has("conference_sid="+sid) {
		t.Errorf("the log does not name the decision:\n%s", log.String())
	}
}

func (c *company) decisionsBlock() string {
	c.t.Helper()
	blocks, err := filepath.Glob(filepath.Join(c.options.DataDir, "nats/jetstream/$G/streams/GAVEL_ACTIONS/msgs/*.blk"))
	if err != nil || len(blocks) != 1 {
		c.t.Fatalf("blocks of the decisions: %v, %v", blocks, err)
	}
	return blocks[0]
}
