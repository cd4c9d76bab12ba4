package app

import (
	"context"
	"errors"
	"fmt"

	"gavel/events"
	"gavel/handlers/act"
	"gavel/handlers/api"
	"gavel/handlers/project"
	"gavel/handlers/rest"
	"gavel/internal/bus"
)

// openReaders makes what answers queries and forwards writes to Twilio.
func (a *App) openReaders(context.Context) error {
	if !a.Roles.Has(Serve) {
		return nil
	}
	reader := verifiedReader{a.store, a}
	a.rest = rest.New(rest.Config{
		Reader:  reader,
		Auth:    a.keys,
		Journal: a.bus.Journal(),
		Twilio:  a.twilio,

		ListDefault: a.ListDefault,
		Now:         a.clock.Now,
		Log:         a.log.With("component", "rest"),
		Metrics:     rest.NewMetrics(a.metrics),
	})
	version := a.Version
	version.NATS = a.bus.Info().Version
	a.api = api.New(api.Config{
		Reader:      reader,
		Auth:        a.keys,
		Keys:        a.keys,
		Timeline:    a.bus.News(),
		Tail:        a.bus.News(),
		Accounts:    a.accounts,
		Journal:     a.bus.Journal(),
		Rules:       a.rules,
		Brakes:      a.brakes,
		Switch:      a.brakes,
		Lanes:       a.bus,
		LaneCount:   a.bus.Info().Lanes,
		Decisions:   a.bus.Actions(),
		Backlog:     backlog{a.bus},
		DeadLetters: letters{a.bus.DeadLetters()},
		Redrive:     redriverOf(a.performer),
		Rebuild:     rebuilderOf(a.project),
		Ledger:      a.ledger,
		Version:     version,
		Now:         a.clock.Now,
		Log:         a.log.With("component", "api"),
		Metrics:     api.NewMetrics(a.metrics),
	})
	return nil
}

// rebuilderOf returns nil, not an interface that holds nil, in a process that does not project.
func rebuilderOf(p *project.Projector) api.Rebuilder {
	if p == nil {
		return nil
	}
	return p
}

// redriverOf does the same in a process that does not act.
func redriverOf(p *act.Performer) api.Redriver {
	if p == nil {
		return nil
	}
	return redriver{p}
}

// backlog counts what the performers have still to do.
type backlog struct{ bus *bus.Bus }

// Backlog returns how many decisions are deferred, and how many no performer has settled.
func (b backlog) Backlog(ctx context.Context) (deferred, queued int, err error) {
	if deferred, err = b.bus.Timers().Deferred(ctx); err != nil {
		return 0, 0, err
	}
	queued, err = b.bus.Actions().Unsettled(ctx, act.Consumers())
	return deferred, queued, err
}

// letters are the bus's dead letters as the API needs them.
type letters struct{ *bus.DeadLetters }

// List returns the newest first.
func (l letters) List(ctx context.Context, most int) ([]api.Letter, error) {
	found, err := l.DeadLetters.List(ctx, most)
	if err != nil {
		return nil, err
	}
	all := make([]api.Letter, len(found))
	for i, one := range found {
		all[i] = api.Letter(one)
	}
	return all, nil
}

// Get returns one, or api.ErrNoLetter.
func (l letters) Get(ctx context.Context, id uint64) (api.Letter, error) {
	one, err := l.DeadLetters.Get(ctx, id)
	if errors.Is(err, bus.ErrNoLetter) {
		err = api.ErrNoLetter
	}
	return api.Letter(one), err
}

// redriver is the performer as the API needs it.
type redriver struct{ *act.Performer }

// Redrive returns the new decision's id, or api.ErrNotRedrivable.
func (r redriver) Redrive(ctx context.Context, letter events.DeadLetter, by events.Actor) (string, error) {
	id, err := r.Performer.Redrive(ctx, letter, by)
	if errors.Is(err, act.ErrNotRedrivable) || errors.Is(err, bus.ErrNoDecision) {
		err = fmt.Errorf("%w: %w", api.ErrNotRedrivable, err)
	}
	return id, err
}
