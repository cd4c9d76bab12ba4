package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gavel/handlers/act"
	"gavel/handlers/announce"
	"gavel/internal/brakes"
	"gavel/internal/rulebook"
	"gavel/rules"
	"gavel/rules/schema"
)

// openRules opens the rules in force and the brakes, which every process needs. A
// process with its own rule files proposes them.
func (a *App) openRules(ctx context.Context) (err error) {
	log := a.log.With("component", "rules")
	if a.rules, err = rulebook.Open(ctx, a.bus.Rules(), log, rulebook.WithMetrics(a.metrics)); err != nil {
		return err
	}
	a.brakes = brakes.New(a.bus.Brakes(), time.Now,
		brakes.WithStopFile(a.DataDir), brakes.WithStore(a.bus.Store().Rules), brakes.WithLog(log), brakes.WithMetrics(brakes.NewMetrics(a.metrics)))
	a.Go("rules in force", func(ctx context.Context) error { a.rules.Run(ctx); return nil })
	a.Go("brakes", func(ctx context.Context) error { a.brakes.Run(ctx); return nil })
	return a.proposeRules(ctx)
}

// proposeRules proposes the rule files of this process and then follows their
// changes. A demo has presets instead of files.
func (a *App) proposeRules(ctx context.Context) error {
	if a.Presets != nil {
		return a.proposePresets(ctx)
	}
	if a.Rules == "" {
		return nil
	}
	files, err := newRuleFiles(a.Rules, a.rules, a.checkRules, a.log.With("component", "rules"))
	if err != nil {
		return err
	}
	if err := files.start(ctx); err != nil {
		return err
	}
	a.Go("rule files", func(ctx context.Context) error { return files.run(ctx, a.reload) })
	return nil
}

// presetsOrigin is the origin of the demo's rules.
const presetsOrigin = "gavel demo"

// proposePresets puts the demo's rules in force. They are live, so they must not
// reach a real journal: openDataDir has checked that NATS is embedded and that the
// data directory belongs to a demo.
func (a *App) proposePresets(ctx context.Context) error {
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

// checkRules returns an error if a set has steps that no process with these settings could perform.
func (a *App) checkRules(set *rules.Set) error { return CheckRules(set, a.Options) }

// CheckRules returns the faults of a set that a process with these options would refuse, although
// rules.Parse accepts it: schema.Faults about steps that could never be performed, or an error that
// the set cannot be stored. o.PublicURL must be set.
func CheckRules(set *rules.Set, o Options) error {
	var all schema.Faults
	for _, err := range []error{announce.CheckReachable(set, o.PublicURL, o.TwilioAPI), act.CheckWebhooks(set, o.Webhooks)} {
		var faults schema.Faults
		if err != nil && !errors.As(err, &faults) {
			return err
		}
		all = append(all, faults...)
	}
	if len(all) > 0 {
		return all.Sorted()
	}
	return rulebook.CheckStorable(set)
}
