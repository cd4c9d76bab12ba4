package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gavel/handlers/act"
	"gavel/handlers/announce"
	"gavel/handlers/project"
	"gavel/internal/brakes"
	"gavel/internal/rulebook"
	"gavel/internal/webhook"
	"gavel/rules"
)

// openRules makes what every process knows of rules: which are in force, and
// what holds them back. A process with rule files of its own proposes them.
func (a *app) openRules(ctx context.Context) (err error) {
	log := a.log.With("component", "rules")
	if a.rules, err = rulebook.Open(ctx, a.bus.Rules(), log); err != nil {
		return err
	}
	a.brakes = brakes.New(a.bus.Brakes(), time.Now,
		brakes.WithStopFile(a.DataDir), brakes.WithLog(log), brakes.WithMetrics(brakes.NewMetrics(a.metrics)))
	a.work("rules in force", func(ctx context.Context) error { a.rules.Run(ctx); return nil })
	a.work("brakes", func(ctx context.Context) error { a.brakes.Run(ctx); return nil })
	return a.proposeRules(ctx)
}

// proposeRules proposes the files of this process, and goes on to follow them.
// The demo's are no files.
func (a *app) proposeRules(ctx context.Context) error {
	if a.Presets != nil {
		return a.proposePresets(ctx)
	}
	if a.config.Rules == "" {
		return nil
	}
	files, err := newRuleFiles(a.config.Rules, a.rules, a.checkRules, a.log.With("component", "rules"))
	if err != nil {
		return err
	}
	if err := files.start(ctx); err != nil {
		return err
	}
	signals, stop := hangups()
	a.life.onStop("signals", func(context.Context) error { stop(); return nil })
	a.work("rule files", func(ctx context.Context) error { return files.run(ctx, signals) })
	return nil
}

// presetsOrigin says whose rules the demo's are.
const presetsOrigin = "gavel demo"

// proposePresets puts the demo's rules in force in the demo's own NATS, never in
// one that other processes may use.
func (a *app) proposePresets(ctx context.Context) error {
	if !a.NATS.embedded() {
		return errors.New("the demo's rules are for the embedded NATS only")
	}
	set, err := rules.Parse(a.Presets...)
	if err == nil {
		err = a.checkRules(set)
	}
	if err != nil {
		return fmt.Errorf("read the demo's rules: %w", err)
	}
	_, err = a.rules.Propose(ctx, set, presetsOrigin, rulebook.Change)
	return err
}

// checkRules says what of a set could never be carried out by this process.
func (a *app) checkRules(set *rules.Set) error {
	if err := announce.CheckReachable(set, a.PublicURL, a.TwilioAPI); err != nil {
		return err
	}
	return act.CheckWebhooks(set, a.Webhooks)
}

// openAnnouncements makes what Twilio fetches an announcement from.
func (a *app) openAnnouncements(context.Context) (err error) {
	if !a.Roles.has(roleDoor) {
		return nil
	}
	a.announcements, err = announce.New(announce.Config{
		PublicURL: a.PublicURL,
		Accounts:  a.accounts,
		Decisions: a.bus.Actions(),
		Brakes:    a.brakes,
		Log:       a.log.With("component", "announce"),
		Metrics:   announce.NewMetrics(a.metrics),
		Now:       time.Now,
	})
	return err
}

// openAlarms lets what rings wake the lanes, in whichever process it rings.
func (a *app) openAlarms(context.Context) error {
	if !a.Roles.has(roleProject) {
		return nil
	}
	wakes := project.Wakes{Timers: a.bus.Timers(), Journal: a.bus.Journal(), Now: time.Now}
	a.work("alarms", wakes.Run)
	return nil
}

// openPerformer makes what carries out what rules decide.
func (a *app) openPerformer(context.Context) error {
	if !a.Roles.has(roleAct) {
		return nil
	}
	webhooks, err := webhook.New(webhook.Config{Settings: a.Webhooks, Now: time.Now})
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
		Teller: act.Tellers{
			rules.StepPublish: act.NewPublisher(a.bus.Notices(), time.Now),
			rules.StepWebhook: act.NewWebhooks(webhooks, time.Now),
		},
		Accounts:  a.accounts,
		PublicURL: a.PublicURL,
		Now:       time.Now,
		Log:       a.log.With("component", "act"),
		Metrics:   act.NewMetrics(a.metrics),
	})
	a.work("performer", a.performer.Run)
	return nil
}
