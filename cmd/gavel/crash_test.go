package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"testing"

	"gavel/cmd/gavel/render"
	"gavel/events"
	"gavel/handlers/api"
	"gavel/internal/logtest"
	"gavel/views"
)

const (
	// loadConferences are the conferences of a load, loadTogether the requests at a time.
	loadConferences = 20
	loadTogether    = 16
	// enoughAccepted is when a load is broken off: past several groups of the
	// journal and batches of the projector.
	enoughAccepted = 600
)

func TestKill9LosesNothingAccepted(t *testing.T) {
	t.Parallel()
	dataDir := t.TempDir()
	h := openProcess(t, dataDir)
	accepted := h.endsUnderLoad(h.kill)
	openHere(t, dataDir).hasAll(accepted)
}

func TestSIGTERMLosesNothingAccepted(t *testing.T) {
	t.Parallel()
	dataDir := t.TempDir()
	h := openProcess(t, dataDir)
	accepted := h.endsUnderLoad(func() {
		if code := h.stop(); code != exitOK {
			t.Errorf("exit code %d after SIGTERM", code)
		}
	})
	openHere(t, dataDir).hasAll(accepted)
}

func TestTailGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	dataDir, address := t.TempDir(), freePort(t)
	first := openProcess(t, dataDir, "--listen", address)
	tail := first.tails()
	const events = 40
	for n := range events {
		if n == events/2 {
			tail.awaits(n)
			first.kill()
			first = openProcess(t, dataDir, "--listen", address)
		}
		if got := first.sends("--seq", strconv.Itoa(n)); got.code != exitOK {
			t.Fatalf("send: %+v", got)
		}
	}
	for n, event := range tail.awaits(events) {
		if event.Params.Get("SequenceNumber") != strconv.Itoa(n) {
			t.Fatalf("event %d has number %s: something is missing, double or out of order", n, event.Params.Get("SequenceNumber"))
		}
	}
}

// accepted are the sequence numbers that were answered 204, by conference.
type accepted map[string]map[string]bool

// endsUnderLoad sends callbacks without a pause, calls end when enough were
// accepted, and returns those that were accepted up to the end.
func (h *house) endsUnderLoad(end func()) accepted {
	h.t.Helper()
	var over atomic.Bool
	load, results := h.load(&over)
	got := accepted{}
	count := 0
	for results.Scan() {
		var r result
		if err := json.Unmarshal(results.Bytes(), &r); err != nil {
			h.t.Fatal(err)
		}
		if r.Status != 204 {
			continue
		}
		if got[r.ConferenceSid] == nil {
			got[r.ConferenceSid] = map[string]bool{}
		}
		got[r.ConferenceSid][r.SequenceNumber] = true
		if count++; count == enoughAccepted {
			go func() {
				end()
				over.Store(true)
			}()
		}
	}
	if code := <-load; code != exitFailure {
		h.t.Fatalf("the load ended with %d: the house was gone before it broke off", code)
	}
	h.t.Logf("%d callbacks were accepted before the end", count)
	return got
}

// load runs `gavel send` on endless lines until over, and returns its exit code and its output.
func (h *house) load(over *atomic.Bool) (code <-chan int, results *bufio.Scanner) {
	lines, feed := io.Pipe()
	go func() {
		for n := 0; !over.Load(); n++ {
			if _, err := fmt.Fprintln(feed, loadLine(n)); err != nil {
				return
			}
		}
		feed.Close()
	}()
	output, out := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		args := []string{"send", "--to", h.public, "--file", "-", "--output", "json", "--concurrency", strconv.Itoa(loadTogether)}
		var errors logtest.Text
		ended <- run(context.Background(), args, terminal{lines, out, &errors, environment(oneAccount)})
		lines.Close()
		out.Close()
	}()
	return ended, bufio.NewScanner(output)
}

// loadLine is the nth callback: conferences in turn, each counting its own.
func loadLine(n int) string {
	sequence := int64(n / loadConferences)
	c := sendCommand{
		Event: string(events.ParticipantModify), Name: fmt.Sprintf("room-%d", n%loadConferences), Label: "agent-ana", Seq: sequence,
	}
	if sequence == 0 {
		c.Event = string(events.ParticipantJoin)
	}
	params, err := c.params(testAccount)
	if err != nil {
		panic(err)
	}
	return params.Encode()
}

// hasAll fails unless every accepted callback is in the picture and was published as news once.
func (h *house) hasAll(want accepted) {
	h.t.Helper()
	for sid, numbers := range want {
		told := map[string]int{}
		eventually(h.t, func() string {
			clear(told)
			var timeline api.TimelineBody
			h.asksJSON(&timeline, "conferences", "timeline", sid)
			for _, fact := range timeline.Facts {
				e, err := render.ParseEvent(fact.Event)
				if err != nil {
					h.t.Fatal(err)
				}
				told[e.Params.Get("SequenceNumber")]++
			}
			for number := range numbers {
				if told[number] == 0 {
					return fmt.Sprintf("conference %s: number %s was accepted and is not in the news", sid, number)
				}
			}
			return ""
		})
		for number, times := range told {
			if times != 1 {
				h.t.Errorf("conference %s: number %s is in the news %d times, want once", sid, number, times)
			}
		}
		var record views.Record
		h.asksJSON(&record, "conferences", "get", sid)
		for _, gap := range record.Gaps {
			for number := gap[0]; number <= gap[1]; number++ {
				if numbers[strconv.FormatInt(number, 10)] {
					h.t.Errorf("conference %s: number %d was accepted and is not in the picture", sid, number)
				}
			}
		}
	}
}
