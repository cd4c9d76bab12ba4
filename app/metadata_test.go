package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gavel/app"
	"gavel/internal/twilio/twiliofake"
)

// endPairs is a rule that ends every conference, so that Twilio's stand-in counts what is done twice.
const endPairs = `
rules:
  - name: end-pairs
    when: conference.status == "in-progress"
    do: [{end: {}}]
    limits: {per_minute: 1000, trip_after: 1000}
    mode: live
`

// company is a process with that rule, and a Twilio that outlives it.
type company struct {
	*process
	options app.Options
	fake    *twiliofake.Twilio
}

func openCompany(t *testing.T) *company {
	t.Helper()
	c := &company{options: options(t), fake: twiliofake.New(twiliofake.Config{AccountSid: journalAccount, AuthToken: token})}
	server := httptest.NewServer(c.fake.Handler())
	t.Cleanup(server.Close)
	ended := make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer close(ended)
		_ = c.fake.Run(ctx)
	}()
	t.Cleanup(func() { stop(); <-ended })
	c.options.TwilioAPI, c.options.Rules = server.URL, filepath.Join(t.TempDir(), "rules.yaml")
	c.options.Log = slog.New(slog.DiscardHandler)
	if err := os.WriteFile(c.options.Rules, []byte(endPairs), 0o600); err != nil {
		t.Fatal(err)
	}
	c.start(t)
	return c
}

func (c *company) start(t *testing.T) {
	t.Helper()
	c.process = startProcess(t, c.options)
	if err := c.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// call plays a conference until the rule has ended it, and returns its SID.
func (c *company) call(room string) (sid string) {
	c.t.Helper()
	sid = c.join(room)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !c.ended(sid) {
		select {
		case <-tick.C:
		case <-c.t.Context().Done():
			c.t.Fatal("the conference is not ended")
		}
	}
	return sid
}

// facts returns the ids of the facts that GAVEL_EVENTS has of a conference, and their kinds.
func (c *company) facts(sid string) (ids, kinds []string) {
	c.t.Helper()
	var body struct {
		Facts []struct{ Event struct{ ID, Type string } }
	}
	status, text := c.process.call(http.MethodGet, "/v1/conferences/"+sid+"/timeline", "")
	if status == http.StatusOK && json.Unmarshal([]byte(text), &body) == nil {
		for _, f := range body.Facts {
			ids, kinds = append(ids, f.Event.ID), append(kinds, f.Event.Type)
		}
	}
	return ids, kinds
}

// ended reports whether the conference has ended, and the outcome of the rule is among its facts.
func (c *company) ended(sid string) bool {
	_, kinds := c.facts(sid)
	return slices.Contains(kinds, "gavel.conference-end.v1") && slices.Contains(kinds, "gavel.gavel-outcome.v1")
}

// damage is one changed bit in every file of a name.
type damage struct {
	name string
	at   int // from the end if negative
	bit  byte
}

// do changes the files below the folder of NATS, and returns how many there are.
func (d damage) do(t *testing.T, dir string) (changed int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, "nats"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != d.name {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil || len(content) == 0 {
			return err
		}
		content[(d.at+len(content))%len(content)] ^= d.bit
		changed++
		return os.WriteFile(path, content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func TestDamagedDescriptionsAndStatesOfNATSAreRepaired(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]damage{
		"descriptions":    {"meta.inf", 30, 4},
		"their checksums": {"meta.sum", 3, 1},
		"forms of states": {"o.dat", 0, 1},
		"ack floors":      {"o.dat", 3, 1 << 6},
		"what came":       {"o.dat", 5, 1 << 6},
	} {
		for kind, crash := range map[string]bool{"clean stop": false, "crash": true} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				c := openCompany(t)
				first := c.call("first")
				before, _ := c.facts(first)
				c.leave(crash)
				if n := d.do(t, c.options.DataDir); n < 4 {
					t.Fatalf("%d files were changed", n)
				}
				c.start(t)
				defer c.stop()
				c.call("second")
				c.wantOnce(before, first)
				if got := c.fake.Tally(twiliofake.EndConference); got.Asked != 2 {
					t.Errorf("%d requests for two conferences: %+v", got.Asked, got)
				}
				c.want(http.MethodGet, "/v1/journal", "", http.StatusOK, `"held":[]`)
			})
		}
	}
}

// leave stops the process. After a crash the data directory is what the disk had before.
func (c *company) leave(crash bool) {
	c.t.Helper()
	for crash {
		dir := filepath.Join(c.t.TempDir(), "data")
		err := os.CopyFS(dir, os.DirFS(c.options.DataDir))
		if err == nil {
			defer func() { c.options.DataDir = dir }()
			break
		}
		if !errors.Is(err, fs.ErrNotExist) { // a file that was replaced meanwhile
			c.t.Fatal(err)
		}
	}
	c.stop()
}

// wantOnce requires that each of the conference's facts, and of those before, is published once.
func (c *company) wantOnce(before []string, sid string) {
	c.t.Helper()
	after, _ := c.facts(sid)
	for _, id := range slices.Concat(before, after) {
		if n := len(slices.DeleteFunc(slices.Clone(after), func(other string) bool { return other != id })); n != 1 {
			c.t.Errorf("fact %s is published %d times", id, n)
		}
	}
}
