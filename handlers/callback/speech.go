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

// SpeechPolicy selects the speech events that the door keeps. Every participant causes many of them
// a minute, so most events of busy conferences are speech events. The zero value keeps all.
type SpeechPolicy struct {
	every int64 // keep events whose SequenceNumber is a multiple; 0 and 1 keep all, below 0 none
}

// The policies.
var (
	KeepSpeech = SpeechPolicy{}
	DropSpeech = SpeechPolicy{every: -1}
)

// SampleSpeech keeps about one speech event in n: those whose SequenceNumber is
// a multiple of n. So the decision is the same for both copies of an event that
// arrives twice, or as a webhook and by Event Streams. n below 2 keeps all.
func SampleSpeech(n int) SpeechPolicy { return SpeechPolicy{every: int64(max(n, 0))} }

func (p SpeechPolicy) keeps(number int64) bool {
	return p.every >= 0 && (p.every < 2 || number%p.every == 0)
}

const (
	// speechInterval is how often dropped numbers are appended to the journal. A crash loses at
	// most the numbers of one interval, which then look like a gap.
	speechInterval = 3 * time.Second
	// speechBatch is how many numbers of one conference are appended at once
	// instead of at the next interval.
	speechBatch = 100
	// speechRoom bounds the pending numbers of one conference: the most that one entry can contain.
	speechRoom = events.MaxDroppedRanges
	// speechConferences bounds the conferences with pending numbers. The memory
	// is then at most 40 MB: speechRoom numbers for each.
	speechConferences = 10_000
	// speechTogether bounds the concurrent appends of one flush. Concurrent
	// appends share the journal's groups.
	speechTogether = 64
)

// speechLedger collects the sequence numbers of speech events that are dropped on purpose and
// appends them to the journal, so that they do not look like gaps. One goroutine does all appends.
type speechLedger struct {
	cfg    Config
	cancel context.CancelFunc
	done   chan struct{}
	full   chan struct{} // a conference has speechBatch numbers

	mu        sync.Mutex
	closed    bool
	open      map[events.Key][]int64 // numbers without an entry yet
	pending   []pendingEntry
	appending int // entries being appended
}

// pendingEntry is an entry whose append failed. It keeps its id, so that
// appending it twice is one fact.
type pendingEntry struct {
	conferenceSid string
	entry         events.Entry
}

// newSpeechLedger returns a ledger and starts its goroutine, which close stops.
func newSpeechLedger(cfg Config) *speechLedger {
	l := &speechLedger{cfg: cfg, done: make(chan struct{}), full: make(chan struct{}, 1), open: map[events.Key][]int64{}}
	ctx, cancel := context.WithCancel(context.Background()) // canceled by close, not by the end of a request
	l.cancel = cancel
	go l.run(ctx)
	return l
}

// add records the number of a dropped event. It returns false if the ledger is full, because the
// journal is unavailable: the event must then be kept, so that its number is not lost.
func (l *speechLedger) add(e *events.Event) bool {
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

// waiting is how many conferences and entries have numbers that are not in the
// journal yet. The caller holds mu.
func (l *speechLedger) waiting() int { return len(l.open) + len(l.pending) + l.appending }

// run flushes at every interval, and full batches at once.
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
			l.cfg.Log.Warn("numbers of dropped speech events not appended", slog.Any("error", err))
		}
	}
}

// close stops the goroutine and appends the remaining numbers.
func (l *speechLedger) close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	<-l.done
	if err := l.flush(ctx, 1); err != nil {
		return fmt.Errorf("append numbers of dropped speech events: %w", err)
	}
	return nil
}

// flush appends an entry for each conference with at least atLeast numbers, and
// the entries whose append failed before.
func (l *speechLedger) flush(ctx context.Context, atLeast int) error {
	ctx, cancel := context.WithTimeout(ctx, AppendBudget)
	defer cancel()
	entries := l.collect(atLeast)
	errs := make([]error, len(entries))
	var work errgroup.Group
	work.SetLimit(speechTogether)
	for i, t := range entries {
		work.Go(func() error {
			errs[i] = l.cfg.Journal.Append(ctx, t.conferenceSid, t.entry)
			return nil
		})
	}
	_ = work.Wait() // the errors are in errs
	l.requeue(entries, errs)
	return firstOf(errs)
}

// collect removes from the ledger what flush has to append, and returns it as entries.
func (l *speechLedger) collect(atLeast int) []pendingEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries := l.pending
	l.pending = nil
	for key, numbers := range l.open {
		if len(numbers) < atLeast {
			continue
		}
		entry := events.NewSpeechDropped(events.NewULID(), key, ranges(numbers), l.cfg.Clock.Now())
		entries = append(entries, pendingEntry{key.ConferenceSid, entry})
		delete(l.open, key)
	}
	l.appending = len(entries)
	return entries
}

// requeue returns the entries whose append failed to the ledger, for the next
// flush. errs has the result of each append.
func (l *speechLedger) requeue(entries []pendingEntry, errs []error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.appending = 0
	for i, err := range errs {
		if err != nil {
			l.pending = append(l.pending, entries[i])
		}
	}
	l.cfg.Metrics.speechPending.Set(float64(len(l.pending)))
}

// firstOf returns how many appends failed, and the first error: the others usually
// have the same cause. It returns nil if none failed.
func firstOf(errs []error) error {
	failed := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("%d entries failed, the first with: %w", len(failed), failed[0])
}

// ranges sorts numbers into inclusive ranges.
func ranges(numbers []int64) (out [][2]int64) {
	slices.Sort(numbers)
	for _, n := range numbers {
		if last := len(out) - 1; last >= 0 && n <= out[last][1]+1 {
			out[last][1] = n
		} else {
			out = append(out, [2]int64{n, n})
		}
	}
	return out
}
