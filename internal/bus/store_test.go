package bus

import (
	"bytes"
	"cmp"
	"errors"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
)

func TestAConditionStopsThePartsOfItsRowUntilItEnds(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newStore(NewMetrics(nil), slog.New(slog.NewTextHandler(&log, nil)))
	works := func() Effects {
		return Effects{s.Door() == nil, s.Rules() == nil, s.Readers() == nil, s.Ready() == nil}
	}
	all := Effects{true, true, true, true}
	for c, want := range effectsOf {
		s.Report(c, errFrozen)
		s.Report(c, errFrozen) // as the watchdog does each second
		if diff := gocmp.Diff(want, works()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c, diff)
		}
		if err := cmp.Or(s.Ready(), s.Rules()); !errors.Is(err, events.ErrUnavailable) || !errors.Is(err, errFrozen) || !strings.Contains(err.Error(), string(c)) {
			t.Errorf("%s: %v", c, err)
		}
		s.Report(c, nil)
		s.Report(c, nil)
		if diff := gocmp.Diff(all, works()); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", c, diff)
		}
	}
	if began, ended := strings.Count(log.String(), "began"), strings.Count(log.String(), "ended"); began != len(effectsOf) || ended != began {
		t.Errorf("%d beginnings and %d ends are in the log:\n%s", began, ended, log.String())
	}
}

func TestOneConditionThatEndsLeavesTheOthers(t *testing.T) {
	t.Parallel()
	s := newStore(NewMetrics(nil), slog.New(slog.DiscardHandler))
	s.Report(NoRoom, errNoRoom)
	s.Report(JournalFull, errFrozen)
	s.Report(NoRoom, nil)
	if s.Door() != nil || !errors.Is(s.Ready(), errFrozen) || errors.Is(s.Ready(), errNoRoom) {
		t.Errorf("door: %v; ready: %v", s.Door(), s.Ready())
	}
}

// An operator decides by the table of docs/operations.md.
func TestTheTableInOperationsIsTheOneInTheCode(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n### The store\n")
	documented := map[Condition]Effects{}
	row := regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (works|503) \\| (work|stop) \\| (work|503) \\| (200|503) \\|")
	section, _, _ = strings.Cut(section, "\n#")
	for _, r := range row.FindAllStringSubmatch(section, -1) {
		documented[Condition(r[1])] = Effects{Door: r[2] == "works", Rules: r[3] == "work", Readers: r[4] == "work", Ready: r[5] == "200"}
	}
	if diff := gocmp.Diff(maps.Clone(effectsOf), documented); diff != "" {
		t.Errorf("-code +docs:\n%s", diff)
	}
}

// One changed bit keeps the server from opening a stream of alarms, which can be made again.
func TestAStreamThatCannotBeOpenedNamesItsRemedy(t *testing.T) {
	t.Parallel()
	failed := &jetstream.APIError{Code: 500, ErrorCode: storeFailed, Description: "error creating store for stream"}
	for name, want := range map[string]bool{laterStream: true, timersStream: true, journalStream: false, actionsStream: false} {
		err := hintOffline(name, failed)
		if got := strings.Contains(err.Error(), "move the folder "+name); got != want || !errors.Is(err, failed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := hintOffline(laterStream, errFrozen); err != errFrozen {
		t.Errorf("another error: %v", err)
	}
}
