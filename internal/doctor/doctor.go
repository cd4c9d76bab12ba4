// Package doctor judges an installation of Gavel: it returns what is wrong, and
// what to do about it.
//
// Except for files, it does not gather facts itself: cmd/gavel does. Each kind
// of facts has a method that turns them into findings. A finding never contains
// a token, a friendly name or a label, because people send reports to others.
//
// Reading order: doctor.go (findings); settings.go, files.go, clock.go, nats.go, redis.go,
// credentials.go, door.go and webhooks.go (one subject each); conference.go, subscriptions.go and traps.go (what
// conferences show about their TwiML).
package doctor

import (
	"fmt"
	"slices"
)

// Level is how bad a finding is.
type Level string

// The levels, from good to bad.
const (
	// OK: checked and good.
	OK Level = "ok"
	// Note: good, or could not be checked; Found states which.
	Note Level = "note"
	// Warning: works now, but something is lost or at risk.
	Warning Level = "warning"
	// Fault: does not work.
	Fault Level = "fault"
)

var levels = []Level{OK, Note, Warning, Fault}

// Finding is the result of one check.
type Finding struct {
	Check Check  `json:"check"`
	Level Level  `json:"level"`
	Found string `json:"found"`
	// Do is what to do next; empty if nothing has to be done.
	Do string `json:"do,omitempty"`
}

// Check is what a finding is about.
type Check string

// All checks. Each may depend on those before it.
const (
	CheckSettings      Check = "settings"
	CheckFiles         Check = "files"
	CheckNATS          Check = "nats"
	CheckRedis         Check = "redis"
	CheckCredentials   Check = "credentials"
	CheckClock         Check = "clock"
	CheckPublicURL     Check = "public-url"
	CheckWebhooks      Check = "webhooks"
	CheckSubscriptions Check = "subscriptions"
	CheckTraps         Check = "traps"
)

// Report is all findings, for a person or a script.
type Report struct {
	// Worst is the level of the worst finding.
	Worst    Level     `json:"worst"`
	Findings []Finding `json:"findings"`
}

// NewReport summarizes findings, in their order.
func NewReport(findings []Finding) Report {
	r := Report{Worst: OK, Findings: findings}
	for _, f := range findings {
		if slices.Index(levels, f.Level) > slices.Index(levels, r.Worst) {
			r.Worst = f.Level
		}
	}
	return r
}

// Count is the number of findings of a level.
func (r Report) Count(l Level) (n int) {
	for _, f := range r.Findings {
		if f.Level == l {
			n++
		}
	}
	return n
}

// Skipped is the finding of a check that could not run.
func Skipped(c Check, why string) Finding { return c.note("not checked: %s", why) }

func (c Check) ok(format string, args ...any) Finding    { return c.finding(OK, format, args...) }
func (c Check) note(format string, args ...any) Finding  { return c.finding(Note, format, args...) }
func (c Check) warn(format string, args ...any) Finding  { return c.finding(Warning, format, args...) }
func (c Check) fault(format string, args ...any) Finding { return c.finding(Fault, format, args...) }

func (c Check) finding(level Level, format string, args ...any) Finding {
	return Finding{Check: c, Level: level, Found: fmt.Sprintf(format, args...)}
}

// do adds what to do next.
func (f Finding) do(format string, args ...any) Finding {
	f.Do = fmt.Sprintf(format, args...)
	return f
}
