package app

import (
	"context"
	"fmt"
	"time"

	"gavel/handlers/act"
	"gavel/handlers/project"
	"gavel/internal/bus"
	"gavel/internal/chain"
)

// flushEvery is how often the marks of the journal are written that Note leaves unwritten. A kill
// loses those of the time since, which is harmless unless NATS loses the same groups.
const flushEvery = 100 * time.Millisecond

// openMarks opens the marks of what NATS acknowledges. A file that cannot be opened does not keep the
// process from starting.
func (a *App) openMarks() {
	var err error
	if a.marks, err = chain.OpenStored(a.DataDir, a.NATS.URL == Embedded); err != nil {
		a.log.Warn("marks of what the journal acknowledged are not kept: groups that it loses before they are processed may not be noticed", "error", err)
	}
	a.life.onStop("journal marks", func(context.Context) error { return a.marks.Close() })
}

// verifier compares the marks of the last run with the journal. A lane whose journal has lost what was
// acknowledged is held, by whichever process remembers it, and its mark stays until an operator
// accepts the journal. So it does not matter that the door stores further groups meanwhile.
type verifier struct {
	*App
	journal  *bus.Journal
	patience time.Duration
	// suspected is when a lane disagreed first.
	suspected map[int]time.Time
}

// verifyMarks compares all lanes before anything of the journal is read or answered, and follows those
// that disagree. An external server may answer with an old state after an election, so its
// lanes have as much patience as the chain.
func (a *App) verifyMarks(ctx context.Context) error {
	v := &verifier{App: a, journal: a.bus.Journal(), suspected: map[int]time.Time{}}
	if a.NATS.URL != Embedded {
		v.patience = project.ClusterPatience
		a.Go("journal marks", every(flushEvery, func(context.Context) { a.marks.Flush() }))
	}
	if err := v.all(ctx); err != nil {
		return err
	}
	if a.NATS.URL == Embedded {
		if err := a.examineDecisions(ctx); err != nil {
			return err
		}
	}
	a.Go("journal acknowledgements", every(ledgerEvery, func(ctx context.Context) {
		if err := v.all(ctx); err != nil && ctx.Err() == nil {
			a.log.Debug("marks of the journal were not compared", "error", err) // they are again
		}
	}))
	return nil
}

// all compares the lanes that do not agree yet, and begins those that do.
func (v *verifier) all(ctx context.Context) error {
	book := v.heldLanes.Load()
	var waiting []int
	for lane := range v.bus.Info().Lanes {
		if !v.marks.Begun(lane, book.Numbers[lane]) {
			waiting = append(waiting, lane)
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	state, err := v.journal.State(ctx)
	if err != nil {
		return err
	}
	for _, lane := range waiting {
		number := book.Numbers[lane]
		if mark, open := v.marks.Mark(lane); open && mark.Accepted == number {
			if agrees, err := v.one(ctx, lane, &mark, state); err != nil {
				return err
			} else if !agrees {
				continue
			}
		}
		v.marks.Begin(lane, state.Created, number)
	}
	return nil
}

// one compares one lane. It holds the lane if it disagrees for longer than the patience.
func (v *verifier) one(ctx context.Context, lane int, mark *chain.Mark, state chain.Journal) (agrees bool, err error) {
	var data []byte
	if mark.Sequence >= state.First && mark.Sequence <= state.Last {
		if data, err = v.journal.Group(ctx, mark.Sequence); err != nil {
			return false, err
		}
	}
	f := mark.Compare(state, data)
	if f == nil {
		return true, v.ledger.ReleaseLost(ctx, lane, mark.Sequence)
	}
	if v.suspected[lane].IsZero() {
		v.suspected[lane] = time.Now()
	}
	_, held := v.heldLanes.Load().Held[lane]
	if held || time.Since(v.suspected[lane]) < v.patience {
		return false, nil
	}
	v.log.Error("journal has lost what NATS acknowledged: the lane waits for an operator", "lane", lane, "error", f)
	return false, v.ledger.HoldLost(ctx, lane, f)
}

// examineDecisions finds out whether the stream of decisions has lost some, at its end or in between.
// The projector then fills its lanes, and stores again what their journal leads to. The replicas of an
// external NATS are what it has against damage.
func (a *App) examineDecisions(ctx context.Context) error {
	actions := a.bus.Actions()
	state, err := actions.State(ctx)
	if err != nil {
		return err
	}
	mark, open := a.marks.Mark(chain.Decisions)
	if open && mark.Sequence >= state.First && mark.Sequence <= state.Last {
		open = false // it is there, or a hole that Examine finds
	}
	if f := mark.Compare(state, nil); open && f != nil {
		a.redecide = true
		a.log.Error("decisions are damaged in the store: they are made again from the journal", "error", fmt.Sprintf("%d to %d: %s", f.From, f.To, f.Why))
		mark.Accepted++ // it has served
	}
	a.marks.Begin(chain.Decisions, state.Created, mark.Accepted)
	damage, err := actions.Examine(ctx, time.Now().Add(-act.LostSince))
	if err != nil {
		return err
	}
	for _, d := range damage.Unreadable {
		a.log.Error("decision is damaged in the store: its action is not taken, and NATS does not store it again",
			"decision", d.ID, "account_sid", d.Key.AccountSid, "conference_sid", d.Key.ConferenceSid)
	}
	if damage.Missing > len(damage.Unreadable) {
		a.redecide = true
		a.log.Error("messages are missing in the stream of decisions: what is lost is made again from the journal", "messages", damage.Missing)
	}
	return nil
}
