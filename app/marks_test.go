package app_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gavel/app"
	"gavel/internal/twilio/twiliofake"
)

// door is a process that stores callbacks and processes none.
type door struct {
	*app.App
	t *testing.T
	o app.Options
}

func openDoor(t *testing.T, o app.Options) *door {
	t.Helper()
	o.Roles = app.Roles{app.Door}
	a, err := app.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return &door{a, t, o}
}

// accept sends the start of a conference, and requires that it is stored.
func (d *door) accept(number string) {
	d.t.Helper()
	form := url.Values{
		"AccountSid": {journalAccount}, "ConferenceSid": {journalConference + number}, "FriendlyName": {"room"},
		"StatusCallbackEvent": {"conference-start"}, "SequenceNumber": {"1"}, "Timestamp": {"Mon, 30 Nov 2026 09:00:00 +0000"},
	}
	target := "http://" + d.Info().Public + "/twilio/conference"
	request, err := http.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		d.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("X-Twilio-Signature", twiliofake.Signature(token, target, form))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		d.t.Fatalf("the callback got %d", response.StatusCode)
	}
}

// end stops the process, and returns the data directory: as it is then, or as a kill would have left it.
func (d *door) end(kill bool) (dir string) {
	d.t.Helper()
	if dir = d.o.DataDir; kill {
		dir = snapshotOf(d.t, dir)
	}
	if err := d.Stop(context.WithoutCancel(d.t.Context())); err != nil {
		d.t.Error(err)
	}
	return dir
}

// snapshotOf returns a copy of a data directory that is in use.
func snapshotOf(t *testing.T, from string) string {
	t.Helper()
	for {
		dir := filepath.Join(t.TempDir(), "data")
		switch err := os.CopyFS(dir, os.DirFS(from)); {
		case err == nil:
			return dir
		case !errors.Is(err, fs.ErrNotExist): // a file that was replaced meanwhile
			t.Fatal(err)
		}
	}
}

// journalBlock is the only block of the journal.
func journalBlock(t *testing.T, dir string) string {
	t.Helper()
	blocks, err := filepath.Glob(filepath.Join(dir, "nats/jetstream/$G/streams/GAVEL_JOURNAL/msgs/*.blk"))
	if err != nil || len(blocks) != 1 {
		t.Fatalf("blocks of the journal: %v, %v", blocks, err)
	}
	return blocks[0]
}

// The journal loses callbacks that were answered 204 and that no lane had processed. The chain does not
// cover them: the process was ready and answered 404.
func TestWhatWasAcknowledgedAndIsGoneWaitsForAnOperator(t *testing.T) {
	t.Parallel()
	cut := func(t *testing.T, block string) {
		info, err := os.Stat(block)
		if err == nil {
			err = os.Truncate(block, info.Size()-300)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	flip := func(t *testing.T, block string) {
		if !flip(t, block, journalConference+"04") {
			t.Fatal("the callback is not in the block")
		}
	}
	for name, c := range map[string]struct {
		kill   bool
		damage func(*testing.T, string)
		lost   string // the first callback that is
		wants  string
	}{
		"end cut off, kill":       {true, cut, "05", "journal-behind from 5 to 5"},
		"end cut off, clean stop": {false, cut, "05", "journal-damaged from 5 to 5"},
		"bit flipped, kill":       {true, flip, "04", "journal-behind from 4 to 5"},
		"bit flipped, clean stop": {false, flip, "04", "journal-damaged from 4 to 4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			d := openDoor(t, o)
			for n := 1; n <= 5; n++ {
				d.accept(fmt.Sprintf("%02d", n))
			}
			o.DataDir = d.end(c.kill)
			c.damage(t, journalBlock(t, o.DataDir))
			// What is stored meanwhile has the sequences of what is gone.
			d = openDoor(t, o)
			d.accept("06")
			d.accept("07")
			d.end(false)

			p := startProcess(t, o)
			defer p.stop()
			p.awaitHeld()
			p.want(http.MethodGet, "/readyz", "", http.StatusServiceUnavailable, c.wants)
			p.want(http.MethodGet, "/v1/stop", "", http.StatusOK, `"stopped":true`)
			rest := "/2010-04-01/Accounts/" + journalAccount + "/Conferences/" + journalConference
			for _, number := range []string{"01", "05", "06"} {
				p.want(http.MethodGet, rest+number+".json", "", http.StatusServiceUnavailable, "")
			}
			p.want(http.MethodPost, "/v1/journal/accept", `{"reason":"there is no other"}`, http.StatusOK, "")
			if err := p.AwaitReady(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, number := range []string{"01", "06", "07"} {
				p.want(http.MethodGet, rest+number+".json", "", http.StatusOK, "")
			}
			p.want(http.MethodGet, rest+c.lost+".json", "", http.StatusNotFound, "")
			p.want(http.MethodGet, "/v1/journal", "", http.StatusOK, `"held":[]`)
		})
	}
}

// Nothing is held that is whole: after a kill, after a clean stop, and where the marks are older than
// the journal, as those of a data directory that was copied before.
func TestAWholeJournalIsNotHeldForItsMarks(t *testing.T) {
	t.Parallel()
	o := options(t)
	d := openDoor(t, o)
	d.accept("01")
	old, err := os.ReadFile(filepath.Join(o.DataDir, "chain.stored"))
	if err != nil {
		t.Fatal(err)
	}
	d.accept("02")
	o.DataDir = d.end(true)
	for n, marks := range [][]byte{nil, old, {}} {
		if marks != nil {
			if err := os.WriteFile(filepath.Join(o.DataDir, "chain.stored"), marks, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p := startProcess(t, o)
		if err := p.AwaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.want(http.MethodGet, "/v1/journal", "", http.StatusOK, `"held":[]`)
		p.stop()
		d = openDoor(t, o)
		d.accept(fmt.Sprintf("1%d", n))
		d.end(false)
	}
}
