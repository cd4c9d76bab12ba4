package app

import (
	"context"
	"time"

	"gavel/handlers/act"
	"gavel/internal/webhook"
	"gavel/rules"
)

// openPerformer makes what performs the decisions of rules.
func (a *App) openPerformer(context.Context) error {
	if !a.Roles.Has(Act) {
		return nil
	}
	webhooks, err := webhook.New(a.Webhooks, time.Now, nil)
	if err != nil {
		return err
	}
	a.life.onStop("webhooks", func(context.Context) error { webhooks.Close(); return nil })
	a.performer = act.New(act.Config{
		Decisions:   a.bus.Actions(),
		Timers:      a.bus.Timers(),
		News:        a.bus.News(),
		Records:     a.store,
		Journal:     a.bus.Journal(),
		Twilio:      a.twilio,
		Rules:       a.rules,
		Brakes:      a.brakes,
		DeadLetters: a.bus.DeadLetters(),
		Notifier: act.Notifiers{
			rules.StepPublish: act.NewPublisher(a.bus.Notices(), time.Now),
			rules.StepWebhook: act.NewWebhooks(webhooks, time.Now),
		},
		Receipts:   a.bus.Actions(),
		Accounts:   a.accounts,
		PublicURL:  a.PublicURL,
		FetchEnded: a.FetchEnded,
		Now:        time.Now,
		Doubt:      a.clock.Doubt,
		Log:        a.log.With("component", "act"),
		Metrics:    act.NewMetrics(a.metrics),
	})
	a.Go("performer", a.performer.Run)
	lost := act.Lost{Decisions: a.bus.Actions(), Alarms: a.bus.Timers(), Records: a.store, Now: time.Now, Log: a.log.With("component", "act")}
	a.Go("lost alarms", lost.Run)
	return nil
}
