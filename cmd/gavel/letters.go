package main

import (
	"context"
	"errors"
	"fmt"

	"gavel/events"
	"gavel/handlers/act"
	"gavel/handlers/api"
	"gavel/internal/bus"
)

// letters are the bus's dead letters in the API's terms.
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

// redriver takes up again what a performer could not do, in the API's terms.
type redriver struct{ *act.Performer }

// Redrive returns the new decision's id, or api.ErrNotRedrivable.
func (r redriver) Redrive(ctx context.Context, letter events.DeadLetter, by events.Actor) (string, error) {
	id, err := r.Performer.Redrive(ctx, letter, by)
	if errors.Is(err, act.ErrNotRedrivable) || errors.Is(err, bus.ErrNoDecision) {
		err = fmt.Errorf("%w: %w", api.ErrNotRedrivable, err)
	}
	return id, err
}
