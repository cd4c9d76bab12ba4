package callback

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"gavel/events"
)

// SpeechPolicy says which speech events the door keeps. They come many times a
// minute for every participant, so that a busy floor is mostly these. The zero
// value keeps all.
type SpeechPolicy struct {
	every int64 // keep each of which the number is a multiple; below 0 none
}

// The policies.
var (
	KeepSpeech = SpeechPolicy{}
	DropSpeech = SpeechPolicy{every: -1}
)

// SampleSpeech keeps about one speech event in n: those whose SequenceNumber is
// a multiple of n, so that a callback sent twice, or by two ways, is kept or
// dropped each time alike. n below 2 keeps all.
func SampleSpeech(n int) SpeechPolicy { return SpeechPolicy{every: int64(max(n, 0))} }

func (p SpeechPolicy) keeps(number int64) bool {
	return p.every >= 0 && (p.every < 2 || number%p.every == 0)
}

const (
	// speechInterval is how often the journal is told of dropped numbers. A
	// crash forgets as much, which then looks like a gap.
	speechInterval = 3 * time.Second
	// speechBatch is how many numbers of one conference are told at once
	// rather than waited with.
	speechBatch = 100
	// speechRoom bounds the numbers of one conference that wait: one entry's.
	speechRoom = events.MaxDroppedRanges
	// speechConferences bounds the conferences that wait (with speechRoom
	// numbers each, 40 MB).
	speechConferences = 10_000
	// speechTogether bounds the appends of one flush that wait at the same
	// time; they share the journal's groups.
	speechTogether = 64
)

// speechLedger collects the sequence numbers of speech events left out on
// purpose and tells the journal, so that they are no gaps. One goroutine owns
// the telling.
type speechLedger struct {
	cfg    Config
	cancel context.CancelFunc
	done   chan struct{}
	full   chan struct{} // some conference has a batch

	mu     sync.Mutex
	closed bool
	open   map[events.Key][]int64
	untold []toldLater
	flying int // entries being appended
}

// toldLater is an entry that the journal did not take; it keeps its id, so that
// taking it twice is one fact.
type toldLater struct {
	conferenceSid string
	entry         events.Entry
}

func newSpeechLedger(cfg Config) *speechLedger {
	l := &speechLedger{
		cfg:  cfg,
		done: make(chan struct{}),
		full: make(chan struct{}, 1),
		open: map[events.Key][]int64{},
	}
	ctx, cancel := context.WithCancel(context.Background()) // as long as the door, not as a request
	l.cancel = cancel
	go l.run(ctx)
	return l
}

// note takes the number of a dropped event. It reports false when there is no
// room, because the journal takes nothing: the event is then to be kept, for a
// number must not be lost.
func (l *speechLedger) note(e *events.Event) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	numbers, known := l.open[e.Key()]
	if l.closed || len(numbers) >= speechRoom || !known && l.waiting() >= speechConferences {
		return false
	}
	l.open[e.Key()] = append(numbers, e.SequenceNumber)
	if len(numbers)+1 >= speechBatch {
		select {
		case l.full <- struct{}{}:
		default:
		}
	}
	l.cfg.Metrics.speech.Inc()
	return true
}

func (l *speechLedger) waiting() int { return len(l.open) + len(l.untold) + l.flying }

// run tells the journal at every interval, and of full batches at once.
func (l *speechLedger) run(ctx context.Context) {
	defer close(l.done)
	tick := time.NewTicker(speechInterval)
	defer tick.Stop()
	for {
		atLeast := 1
		select {
		case <-ctx.Done():
			return
		case <-l.full:
			atLeast = speechBatch
		case <-tick.C:
		}
		if err := l.flush(ctx, atLeast); err != nil && ctx.Err() == nil {
			l.cfg.Log.Warn("dropped speech events not told yet", slog.Any("error", err))
		}
	}
}

// close ends the goroutine and tells what is left.
func (l *speechLedger) close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	<-l.done
	if err := l.flush(ctx, 1); err != nil {
		return fmt.Errorf("tell dropped speech events: %w", err)
	}
	return nil
}

// flush appends an entry for each conference with that many numbers, and those
// that failed before.
func (l *speechLedger) flush(ctx context.Context, atLeast int) error {
	ctx, cancel := context.WithTimeout(ctx, AppendBudget)
	defer cancel()
	entries := l.take(atLeast)
	errs := make([]error, len(entries))
	var work errgroup.Group
	work.SetLimit(speechTogether)
	for i, t := range entries {
		work.Go(func() error {
			errs[i] = l.cfg.Journal.Append(ctx, t.conferenceSid, t.entry)
			return nil
		})
	}
	_ = work.Wait() // errs has them
	l.putBack(entries, errs)
	return firstOf(errs)
}

// take empties the ledger of what is to be told.
func (l *speechLedger) take(atLeast int) []toldLater {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries := l.untold
	l.untold = nil
	for key, numbers := range l.open {
		if len(numbers) < atLeast {
			continue
		}
		entry := events.NewSpeechDropped(events.NewULID(), key, ranges(numbers), l.cfg.Now())
		entries = append(entries, toldLater{key.ConferenceSid, entry})
		delete(l.open, key)
	}
	l.flying = len(entries)
	return entries
}

// putBack keeps what the journal did not take.
func (l *speechLedger) putBack(entries []toldLater, errs []error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flying = 0
	for i, err := range errs {
		if err != nil {
			l.untold = append(l.untold, entries[i])
		}
	}
	l.cfg.Metrics.speechUntold.Set(float64(len(l.untold)))
}

// firstOf returns one error for all: they tend to be alike.
func firstOf(errs []error) error {
	failed := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("%d conferences: %w", len(failed), failed[0])
}

// ranges sorts numbers into inclusive ranges.
func ranges(numbers []int64) (out [][2]int64) {
	slices.Sort(numbers)
	for _, n := range numbers {
		switch last := len(out) - 1; {
		case last >= 0 && n <= out[last][1]+1:
			out[last][1] = max(out[last][1], n)
		default:
			out = append(out, [2]int64{n, n})
		}
	}
	return out
}
