package project

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"gavel/events"
	"gavel/lanes"
	"gavel/projections"
	"gavel/rules"
)

// RuleBook has the sets of rules. The lane's journal, not the RuleBook, determines
// the set in force in a lane.
type RuleBook interface {
	lanes.RuleSets
	// Active returns the load that is or will be in force in all lanes.
	Active() (events.Load, bool)
	// Fault counts an expression of a rule that could not be evaluated.
	Fault(rule, in, why string)
	// Decided counts a decision of a rule.
	Decided(rule string, v rules.Verdict, asOf time.Time)
}

// Listing lists conferences. The readers of the picture implement it.
type Listing interface {
	Accounts(ctx context.Context) ([]string, error)
	Conferences(ctx context.Context, account string, q projections.Query) (projections.Page, error)
}

const (
	// loadEvery is how often the lane's owner checks for new rules.
	loadEvery = time.Second
	// youngLoad is the greatest age of a load whose conferences are woken again
	// when the lane is taken over: it is not recorded how many the former owner
	// woke, and at wakeAtOnce for each wakePause 500,000 take half of it.
	youngLoad = 10 * time.Minute
	// wakeAtOnce and wakePause bound the wake-ups after a load to 2,000 a second,
	// which leaves room for callbacks.
	wakeAtOnce = 200
	wakePause  = 100 * time.Millisecond
)

// loads show which rule sets came into force in the lane. They are safe for
// concurrent use: the folder sets them, the follower reads them.
type loads struct{ shown atomic.Pointer[shownLoads] }

type shownLoads struct {
	ids     []string
	version string // of the last load
	engine  int    // of the last load, 0 if the lane has none
}

func newLoads(m *lanes.Machine) *loads {
	l := new(loads)
	l.set(m)
	return l
}

func (l *loads) set(m *lanes.Machine) {
	shown := shownLoads{ids: m.Loads()}
	shown.version, shown.engine = m.LastLoad()
	l.shown.Store(&shown)
}

func (l *loads) has(id string) bool { return slices.Contains(l.shown.Load().ids, id) }

// olderEngine returns a load of the set in force in the lane, if an engine older than this build's
// judges there. The load gets that id, which must be a new one: an older build ignores an id that it
// has, and what begins with this load must have names of its own.
func (l *loads) olderEngine(id string) (events.Load, bool) {
	shown := l.shown.Load()
	if shown.engine == 0 || shown.engine >= events.Engine {
		return events.Load{}, false
	}
	return events.Load{ID: id, Version: shown.version}, true
}

// laneAppender adds an entry to a lane by its number.
type laneAppender interface {
	AppendLane(ctx context.Context, lane int, e events.Entry) error
}

// ruleFollower brings the active rules into force in this lane, at one place of its journal. Rules
// that this process cannot compile stop the lane: it must not go on with other rules.
type ruleFollower struct {
	lane    int
	book    RuleBook
	journal laneAppender
	loads   *loads
	now     func() time.Time
	log     *slog.Logger
}

func (f *ruleFollower) run(ctx context.Context) error {
	tick := time.NewTicker(loadEvery)
	defer tick.Stop()
	var appended string
	upgrade := events.NewULID()
	for {
		l, some := f.book.Active()
		if !some || f.loads.has(l.ID) {
			l, some = f.loads.olderEngine(upgrade)
		}
		if some && l.ID != appended {
			if err := f.append(ctx, l, &appended); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// append brings a set into force. A journal that does not store the load leaves appended alone.
func (f *ruleFollower) append(ctx context.Context, l events.Load, appended *string) error {
	if _, err := f.book.Set(ctx, l.Version); err != nil {
		return fmt.Errorf("bring rules of version %s into force: %w", l.Version, err)
	}
	l.At = f.now()
	if err := f.journal.AppendLane(ctx, f.lane, events.NewRulesLoaded(l)); err != nil {
		f.log.Warn("rules not loaded: journal append failed", "version", l.Version, "error", err)
		return nil
	}
	*appended = l.ID
	return nil
}

// waker wakes every conference that has not ended after each load, so that the new
// rules evaluate it before its next event.
type waker struct {
	lane, lanes int
	listing     Listing
	journal     Appender
	requested   signal
	now         func() time.Time
	log         *slog.Logger
}

func (w *waker) run(ctx context.Context) error {
	for {
		select {
		case <-w.requested:
			if err := w.wakeUnended(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wakeUnended wakes all of them. If the picture or the journal fails, it begins
// again: a second wake-up does no harm.
func (w *waker) wakeUnended(ctx context.Context) error {
	for {
		woken, err := w.tryWakeUnended(ctx)
		if err == nil {
			w.log.Info("conferences woken for the new rules", "woken", woken)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.log.Warn("waking conferences for the new rules failed", "error", err)
		if err := wait(ctx, retryAtMost); err != nil {
			return err
		}
	}
}

func (w *waker) tryWakeUnended(ctx context.Context) (woken int, err error) {
	accounts, err := w.listing.Accounts(ctx)
	if err != nil {
		return 0, fmt.Errorf("list accounts: %w", err)
	}
	for _, account := range accounts {
		for _, status := range []string{projections.StatusInit, projections.StatusInProgress} {
			n, err := w.wakeStatus(ctx, account, status)
			woken += n
			if err != nil {
				return woken, err
			}
		}
	}
	return woken, nil
}

func (w *waker) wakeStatus(ctx context.Context, account, status string) (woken int, err error) {
	q := projections.Query{Status: status, Limit: wakeAtOnce}
	for {
		page, err := w.listing.Conferences(ctx, account, q)
		if errors.Is(err, projections.ErrBadPage) {
			return woken, nil // the last conference of the page before is no longer kept
		}
		if err != nil {
			return woken, fmt.Errorf("list conferences: %w", err)
		}
		keys := w.ofThisLane(account, page.Conferences)
		if err := wake(ctx, w.journal, keys, w.now()); err != nil {
			return woken, err
		}
		woken += len(keys)
		if !page.More {
			return woken, nil
		}
		q.After = page.Conferences[len(page.Conferences)-1].ConferenceSid
		if err := wait(ctx, wakePause); err != nil {
			return woken, err
		}
	}
}

// ofThisLane returns the keys of the conferences of this lane.
func (w *waker) ofThisLane(account string, all []*projections.Conference) []events.Key {
	keys := make([]events.Key, 0, len(all))
	for _, c := range all {
		if events.Lane(c.ConferenceSid, w.lanes) == w.lane {
			keys = append(keys, events.Key{AccountSid: account, ConferenceSid: c.ConferenceSid})
		}
	}
	return keys
}
