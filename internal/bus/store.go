package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"gavel/events"
)

// Condition is a state of the store that an operator has to end, or that ends by itself. Its
// value is the label of gavel_store_condition.
type Condition string

// The conditions. effectsOf holds what each of them stops.
const (
	// Unreachable is a NATS server that does not answer, or a stream that accepts no write.
	Unreachable Condition = "unreachable"
	// NoRoom is a NATS server without storage left, or a volume without free space.
	NoRoom Condition = "no-room"
	// JournalFull is a journal at 90 % of its limit or more. It stores until it is at 100 %.
	JournalFull Condition = "journal-full"
	// DecisionsFull is a stream of decisions at 90 % of its limit or more. At 100 % the lanes that evaluate
	// rules stop.
	DecisionsFull Condition = "decisions-full"
	// BucketDamaged is a stop, a brake, a set of rules or a list of revoked keys that is lost, or has
	// an earlier value again.
	BucketDamaged Condition = "bucket-damaged"
	// JournalBehind is a journal that ends before what Gavel processed, or another journal.
	JournalBehind Condition = "journal-behind"
	// JournalShortened is a journal without its front, or without messages in its middle.
	JournalShortened Condition = "journal-shortened"
	// JournalDamaged is a journal with other groups than those that Gavel processed.
	JournalDamaged Condition = "journal-damaged"
	// ClockDoubted is a clock of the machine that is more than a day from what Twilio has signed.
	ClockDoubted Condition = "clock"
)

// Effects are the parts of Gavel that work while a condition lasts.
type Effects struct {
	// Door accepts callbacks. Otherwise it answers 503.
	Door bool
	// Rules act at Twilio. Otherwise their actions wait, and expire at their deadlines.
	Rules bool
	// Readers answer from the picture. Otherwise they answer 503, never 404.
	Readers bool
	// Ready is the answer of /readyz. /readyz/door follows Door.
	Ready bool
}

// effectsOf is the table "The store" of docs/operations.md.
var effectsOf = map[Condition]Effects{
	Unreachable:   {Readers: true},
	NoRoom:        {Readers: true},
	JournalFull:   {Door: true, Rules: true, Readers: true},
	DecisionsFull: {Door: true, Rules: true, Readers: true},
	BucketDamaged: {Door: true, Readers: true},
	JournalBehind: {Door: true}, JournalShortened: {Door: true}, JournalDamaged: {Door: true},
	// It may be a process that was stopped for a week: a balancer must not drop it for that.
	ClockDoubted: {Door: true, Readers: true, Ready: true},
}

// Store holds the conditions found now. Every part of Gavel that finds one reports it here, and
// every part that has to stop because of one reads it here, so that one table decides. Its methods
// may be called from many goroutines; reading takes no lock.
type Store struct {
	metrics *Metrics
	log     *slog.Logger
	mu      sync.Mutex
	found   map[Condition]error
	damaged map[string]error         // keys of buckets
	now     atomic.Pointer[refusals] // never nil
}

// refusals are why each part must not work now; nil for a part that may.
type refusals struct{ door, rules, readers, ready error }

func newStore(m *Metrics, log *slog.Logger) *Store {
	s := &Store{metrics: m, log: log, found: map[Condition]error{}, damaged: map[string]error{}}
	s.now.Store(&refusals{})
	for c := range effectsOf {
		m.conditions.WithLabelValues(string(c)).Set(0)
	}
	return s
}

// Report begins a condition, or replaces its reason. A nil reason ends it.
func (s *Store) Report(c Condition, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report(c, why)
}

// report is Report for a caller that holds mu.
func (s *Store) report(c Condition, why error) {
	_, lasting := s.found[c]
	if why == nil {
		delete(s.found, c)
	} else {
		s.found[c] = why
	}
	s.now.Store(judge(s.found))
	switch {
	case why != nil && !lasting:
		s.metrics.conditions.WithLabelValues(string(c)).Set(1)
		s.log.Error("condition of the store began", "condition", c, "error", why)
	case why == nil && lasting:
		s.metrics.conditions.WithLabelValues(string(c)).Set(0)
		s.log.Info("condition of the store ended", "condition", c)
	}
}

// reportKey reports the damage of a bucket's key, or its end.
func (s *Store) reportKey(key string, damage error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, was := s.damaged[key]; damage == nil && !was {
		return
	}
	if s.damaged[key] = damage; damage == nil {
		delete(s.damaged, key)
	}
	var all []error
	for _, key := range slices.Sorted(maps.Keys(s.damaged)) {
		all = append(all, s.damaged[key])
	}
	s.report(BucketDamaged, errors.Join(all...))
}

// Door returns why callbacks are refused, or nil.
func (s *Store) Door() error { return s.now.Load().door }

// Rules returns why no rule may act at Twilio, or nil.
func (s *Store) Rules() error { return s.now.Load().rules }

// Readers returns why the picture must not be read, or nil.
func (s *Store) Readers() error { return s.now.Load().readers }

// Ready returns why the process is not ready, or nil.
func (s *Store) Ready() error { return s.now.Load().ready }

// judge joins for each part the reasons of all conditions that stop it. It is pure.
func judge(found map[Condition]error) *refusals {
	var r refusals
	for _, c := range slices.Sorted(maps.Keys(found)) {
		why := fmt.Errorf("%w: %s: %w", events.ErrUnavailable, c, found[c])
		e := effectsOf[c]
		for _, part := range []struct {
			works bool
			why   *error
		}{{e.Door, &r.door}, {e.Rules, &r.rules}, {e.Readers, &r.readers}, {e.Ready, &r.ready}} {
			if !part.works {
				*part.why = errors.Join(*part.why, why)
			}
		}
	}
	return &r
}
