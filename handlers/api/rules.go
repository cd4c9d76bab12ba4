package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gavel/events"
	"gavel/internal/brakes"
	"gavel/internal/rulebook"
	"gavel/rules"
	"gavel/rules/schema"
)

// RuleBook has the rules in force.
type RuleBook interface {
	// Status returns the state that this process holds, without I/O.
	Status() rulebook.Status
	// Set returns the set of that version, compiled.
	Set(ctx context.Context, version string) (*rules.Set, error)
}

// Brakes bound what rules do.
type Brakes interface {
	State(ctx context.Context) (map[string]brakes.State, error)
	Reset(ctx context.Context, rule, reason, by string) error
}

// Backlog counts what the performers have still to do.
type Backlog interface {
	// Backlog returns how many decisions are deferred, and how many no performer has settled.
	Backlog(ctx context.Context) (deferred, queued int, err error)
}

// RuleStatus is the state of the rules.
type RuleStatus struct {
	InForce    *RuleSet      `json:"in_force,omitempty" doc:"Absent if no rules are in force"`
	OwnVersion string        `json:"own_version,omitempty" doc:"The version of the own files of the process that answers, if other rules are in force"`
	Refused    *RefusedFiles `json:"refused_files,omitempty" doc:"The own files of the process that answers, if they have faults: the rules in force stay"`
	Stop       Stop          `json:"stop"`
	Backlog    *BacklogCount `json:"backlog,omitempty" doc:"The decisions of all rules that have no outcome yet; absent without rules"`
	Rules      []Rule        `json:"rules" doc:"Those in force, in the order of their files"`
}

// RefusedFiles are rule files that were not proposed.
type RefusedFiles struct {
	Origin string    `json:"origin" doc:"The machine and the path they were read from"`
	Since  time.Time `json:"since" doc:"When the faults were found"`
	Faults []string  `json:"faults" doc:"The first 20"`
}

// BacklogCount counts decisions without an outcome.
type BacklogCount struct {
	Deferred int `json:"deferred" doc:"They wait for a later try: for the brakes, the stop, quiet hours, Twilio or a receiver"`
	Queued   int `json:"queued" doc:"They are stored, and no performer has settled them yet"`
}

// RuleSet is the set of rule files in force.
type RuleSet struct {
	Version string    `json:"version" doc:"The hash of its files"`
	Since   time.Time `json:"since"`
	Origin  string    `json:"origin" doc:"The machine and the path it was read from"`
	// Unreadable: a newer Gavel put it in force, or its files are lost.
	Unreadable string `json:"unreadable,omitempty" doc:"Why the process that answers cannot compile it, or does not have it"`
	// Warnings: an older Gavel put it in force.
	Warnings []string `json:"warnings,omitempty" doc:"What new checks of rule files find in it: it stays in force, and as a proposal it would be refused"`
}

// Rule is one rule in force.
type Rule struct {
	Name         string        `json:"name"`
	Description  string        `json:"description,omitempty"`
	File         string        `json:"file"`
	Line         int           `json:"line"`
	Each         rules.Subject `json:"each" enum:"conference,participant"`
	Mode         rules.Mode    `json:"mode" enum:"off,shadow,live"`
	PerMinute    int           `json:"per_minute,omitempty" doc:"How many actions are let through in a minute; absent: no limit"`
	TripAfter    int           `json:"trip_after,omitempty" doc:"How many within an hour trip the rule; absent: it never trips"`
	LastMinute   int           `json:"last_minute" doc:"Actions let through in the last minute"`
	LastHour     int           `json:"last_hour" doc:"Actions let through in the last hour"`
	Acts         int           `json:"acts" doc:"Decisions to perform a step, also notifications, since this version of the rule came into force; a crash can count some twice"`
	Would        int           `json:"would" doc:"The same of steps that would have been performed if the rule were live"`
	Refusals     int           `json:"refusals" doc:"The same of steps that were refused"`
	LastFired    *time.Time    `json:"last_fired,omitempty" doc:"When it last decided to perform a step, or would have"`
	TrippedSince *time.Time    `json:"tripped_since,omitempty" doc:"Since then the rule only records what it would do"`
	Past         []RuleChange  `json:"past,omitempty" doc:"Its last trips and resets, oldest first"`
	Faults       []RuleFault   `json:"faults" doc:"Its expressions without a value, since the set came into force"`
}

// RuleChange is a trip of a rule, or its reset by a person.
type RuleChange struct {
	What   brakes.What `json:"what" enum:"tripped,reset"`
	At     time.Time   `json:"at"`
	Reason string      `json:"reason,omitempty"`
	By     string      `json:"by,omitempty"`
}

// RuleFault is an expression that had no value for a conference.
type RuleFault struct {
	In    string    `json:"in" doc:"Its place in the rule: when, unless, target, count, parameters"`
	Count int       `json:"count"`
	Last  time.Time `json:"last"`
	Error string    `json:"error,omitempty" doc:"Why it had none the last time; it quotes no value"`
	Text  string    `json:"text,omitempty" doc:"The expression, of when and unless"`
}

type resetInput struct {
	Rule string `path:"rule" maxLength:"64"`
	Body because
}

func (a *API) addRules(h huma.API) {
	get(a, h, "get-rules", "rules", "The rules in force and their state", a.getRules)
	huma.Register(h, huma.Operation{
		OperationID: "reset-rule", Method: http.MethodPost, Path: Prefix + "rules/{rule}/reset",
		Summary: "Let a tripped rule act again", DefaultStatus: http.StatusNoContent,
	}, a.resetRule)
}

// errNoRules answers requests that need rules in force.
var errNoRules = huma.Error409Conflict("no rules are in force: start serve with --rules PATH")

func (a *API) getRules(ctx context.Context, _ *struct{}) (body RuleStatus, err error) {
	body.Rules = []Rule{}
	if body.Stop, err = a.stopped(ctx); err != nil {
		return body, err
	}
	if a.Rules == nil {
		return body, nil
	}
	status := a.Rules.Status()
	if refused := status.Refused; refused != nil && identity(ctx).All() {
		body.Refused = &RefusedFiles{refused.Origin, refused.Since, refused.Faults}
	}
	if status.InForce == nil {
		return body, nil
	}
	if body.Backlog, err = a.backlog(ctx); err != nil {
		return body, err
	}
	body.OwnVersion = status.Own
	body.InForce = &RuleSet{Version: status.InForce.Version, Since: status.InForce.Since, Origin: status.InForce.Origin}
	set, err := a.Rules.Set(ctx, status.InForce.Version)
	if faults := (schema.Faults)(nil); errors.As(err, &faults) || errors.Is(err, rulebook.ErrUnknownVersion) {
		body.InForce.Unreadable = err.Error()
		return body, nil
	}
	if err == nil {
		body.Rules, err = a.viewRules(ctx, set, status)
	}
	if err != nil {
		return body, fmt.Errorf("read the rules in force: %w", err)
	}
	if seesRules(ctx, set) {
		for _, w := range set.Warnings {
			body.InForce.Warnings = append(body.InForce.Warnings, w.String())
		}
	}
	return body, nil
}

// seesRules reports whether the set applies to an account of the key.
func seesRules(ctx context.Context, set *rules.Set) bool {
	who := identity(ctx)
	return who.All() || slices.ContainsFunc(who.Accounts, set.For)
}

// inForce returns the set in force, or nil.
func (a *API) inForce(ctx context.Context) (*rules.Set, error) {
	if a.Rules == nil {
		return nil, nil
	}
	active := a.Rules.Status().InForce
	if active == nil {
		return nil, nil
	}
	set, err := a.Rules.Set(ctx, active.Version)
	if err != nil {
		return nil, fmt.Errorf("read the rules in force: %w", err)
	}
	return set, nil
}

// backlog counts the decisions without an outcome.
func (a *API) backlog(ctx context.Context) (*BacklogCount, error) {
	if a.Backlog == nil {
		return nil, nil
	}
	deferred, queued, err := a.Backlog.Backlog(ctx)
	if err != nil {
		return nil, err
	}
	return &BacklogCount{deferred, queued}, nil
}

// viewRules returns the rules of a set that applies to an account of the key.
func (a *API) viewRules(ctx context.Context, set *rules.Set, status rulebook.Status) ([]Rule, error) {
	shown := []Rule{}
	if !seesRules(ctx, set) {
		return shown, nil
	}
	states, err := a.Brakes.State(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range set.Rules {
		shown = append(shown, viewRule(r, states[r.Name], status))
	}
	return shown, nil
}

func viewRule(r *rules.Rule, s brakes.State, status rulebook.Status) Rule {
	v := Rule{
		Name: r.Name, Description: r.Description, File: r.File, Line: r.Line, Each: r.Each, Mode: r.Mode,
		PerMinute: r.Limits.PerMinute, TripAfter: r.Limits.TripAfter,
		LastMinute: s.LastMinute, LastHour: s.LastHour, Faults: []RuleFault{},
	}
	if s.Trip != nil {
		v.TrippedSince = &s.Trip.Since
	}
	for _, c := range s.Past {
		v.Past = append(v.Past, RuleChange{c.What, c.At, c.Reason, c.By})
	}
	for _, f := range status.Faults {
		if f.Rule == r.Name {
			v.Faults = append(v.Faults, RuleFault{f.In, f.Count, f.Last, f.Why, r.Expression(f.In)})
		}
	}
	for _, f := range status.Fired {
		if f.Rule != r.Name || f.Version != "" && f.Version != r.Version {
			continue
		}
		if v.Acts, v.Would, v.Refusals = f.Acts, f.Woulds, f.Refusals; !f.Last.IsZero() {
			v.LastFired = &f.Last
		}
	}
	return v
}

func (a *API) resetRule(ctx context.Context, in *resetInput) (*struct{}, error) {
	if err := operatorOfAll(ctx); err != nil {
		return nil, err
	}
	if a.Brakes == nil {
		return nil, errNoRules
	}
	who := identity(ctx)
	err := a.Brakes.Reset(ctx, in.Rule, in.Body.Reason, actor(who).String())
	switch {
	case errors.Is(err, brakes.ErrNotTripped):
		// Its attempts may have failed, or the request is a repetition of one that reached only some lanes.
		if err := a.knownToReset(ctx, in.Rule); err != nil {
			return nil, err
		}
	case errors.Is(err, brakes.ErrNoReason):
		return nil, badReason
	case err != nil:
		return nil, a.problem(fmt.Errorf("reset rule: %w", err))
	}
	r := events.Reset{ID: events.NewULID(), Rule: in.Rule, Reason: in.Body.Reason, Actor: actor(who), At: a.Now()}
	if err := a.appendAll(ctx, events.NewRuleReset(r)); err != nil {
		return nil, a.problem(fmt.Errorf("rule is reset, but what it did not do is not begun again: %w", err))
	}
	a.Log.Info("rule reset", "rule", in.Rule, "by", who.KeySid)
	return nil, nil
}

// knownToReset returns why a rule that is not tripped cannot be reset, or nil.
func (a *API) knownToReset(ctx context.Context, rule string) error {
	set, err := a.inForce(ctx)
	switch {
	case err != nil:
		return err
	case set == nil:
		return errNoRules
	case set.Rule(rule) == nil:
		return huma.Error404NotFound("no such rule" + nearestRule(ctx, set, rule))
	}
	return nil
}

// knownRule returns an error if no rules are in force, or if none has the name. An
// empty name means all rules.
func (a *API) knownRule(ctx context.Context, location, name string) error {
	if a.Rules == nil || a.Rules.Status().InForce == nil {
		return errNoRules
	}
	if name == "" {
		return nil
	}
	set, err := a.inForce(ctx)
	switch {
	case err != nil:
		return err
	case set == nil: // they were removed meanwhile
		return errNoRules
	case set.Rule(name) == nil:
		return badField(location, "is not a rule in force: see gavel rules status"+nearestRule(ctx, set, name))
	}
	return nil
}

// nearestRule names the rule that a misspelled name may have been meant to be, or returns "". A key
// that may not see the rules gets none of their names.
func nearestRule(ctx context.Context, set *rules.Set, name string) string {
	if !seesRules(ctx, set) {
		return ""
	}
	names := make([]string, len(set.Rules))
	for i, r := range set.Rules {
		names[i] = r.Name
	}
	return schema.Nearest(name, names)
}
