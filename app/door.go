package app

import (
	"context"
	"time"

	"gavel/handlers/announce"
	"gavel/handlers/callback"
)

func (a *App) openDoor(context.Context) (err error) {
	if !a.Roles.Has(Door) {
		return nil
	}
	a.door, err = callback.New(callback.Config{
		PublicURL:   a.PublicURL,
		Accounts:    a.accounts,
		Journal:     a.bus.Journal(),
		DeadLetters: a.bus.DeadLetters(),
		Speech:      a.Speech,
		Log:         a.log.With("component", "door"),
		Metrics:     callback.NewMetrics(a.metrics),
		Now:         time.Now,
		Clock:       a.clock,
	})
	if err != nil {
		return err
	}
	a.life.onStop("door", a.door.Close)
	return nil
}

// openAnnouncements makes what Twilio fetches an announcement from.
func (a *App) openAnnouncements(context.Context) (err error) {
	if !a.Roles.Has(Door) {
		return nil
	}
	a.announcements, err = announce.New(announce.Config{
		PublicURL: a.PublicURL,
		Accounts:  a.accounts,
		Decisions: a.bus.Actions(),
		Brakes:    a.brakes,
		Log:       a.log.With("component", "announce"),
		Metrics:   announce.NewMetrics(a.metrics),
		Now:       a.clock.Now,
	})
	return err
}
