package app

import (
	"context"

	"gavel/events"
	"gavel/handlers/act"
	"gavel/handlers/project"
)

func (a *App) openProjector(context.Context) error {
	if !a.Roles.Has(Project) {
		return nil
	}
	lanes := make([]project.Lane, 0, a.bus.Info().Lanes)
	for _, lane := range a.bus.Lanes() {
		lanes = append(lanes, lane)
	}
	var restore func(context.Context, []events.Decided) ([]events.Decided, error)
	if a.redecide && a.bus.Full() == nil {
		restore = a.bus.Actions().Restore
	}
	a.project = project.New(project.Config{
		Lanes:       lanes,
		Journal:     a.bus.Journal(),
		Store:       a.store,
		News:        a.bus.News(),
		DeadLetters: a.bus.DeadLetters(),
		RuleBook:    a.rules,
		Actions:     a.bus.Actions(),
		Timers:      a.bus.Timers(),
		Listing:     a.store,
		Resumed:     a.resumed,
		Chain:       a.chain(),
		Restore:     restore,
		RestoreFor:  act.LostSince,
		Keep:        a.Keep,
		MemoryLimit: a.MemoryLimit,
		Log:         a.log,
		Metrics:     project.NewMetrics(a.metrics),
		Now:         a.clock.Now,
		Passed:      a.clock.Passed,
		Witness:     a.clock.Witness,
	})
	a.Go("projector", a.project.Run)
	return nil
}

// chain is what verifies the journal. The embedded NATS answers from its only copy.
func (a *App) chain() *project.Chain {
	c := &project.Chain{File: a.openFile(), Ledger: a.ledger, Alone: a.NATS.URL == Embedded}
	if a.NATS.URL != Embedded {
		c.Patience = project.ClusterPatience
	}
	return c
}

// openAlarms lets due alarms wake the lanes, whichever process receives them.
func (a *App) openAlarms(context.Context) error {
	if !a.Roles.Has(Project) {
		return nil
	}
	wakes := project.Wakes{Timers: a.bus.Timers(), Journal: a.bus.Journal(), Now: a.clock.Now, Doubt: a.clock.Doubt}
	a.Go("alarms", wakes.Run)
	return nil
}
