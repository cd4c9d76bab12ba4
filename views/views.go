// Package views has the data that people are shown: conferences and records,
// timelines, the decisions of rules and their deadlines, in the JSON shapes of
// /v1. It reads them over several accounts at once. It decides neither who may
// see what nor how it is sent: its callers pass the accounts.
//
// Reading order: views.go, conference.go (a record as it is shown), list.go (lists
// and single conferences of several accounts), timeline.go, decision.go (what
// rules decided and what they are doing), deadline.go.
package views

import (
	"time"

	"gavel/projections"
)

// Source is where views are read from. Its methods may be called from many
// goroutines; their errors are those of the parts, wrapped.
type Source struct {
	Reader projections.Reader
	// Decisions is nil in a process that has no rules: there are none then.
	Decisions Decisions
	Timeline  Timeline
	Now       func() time.Time
}
