// Package views has the data that people see: conferences and records, timelines, the decisions of
// rules and their deadlines, in the JSON shapes of /v1. It reads several accounts at once. Access
// control and transport are its callers': they pass the accounts.
//
// Reading order: views.go, conference.go (a record), list.go (lists and single
// conferences of several accounts), timeline.go, decision.go (decisions and pending
// actions of rules), deadline.go.
package views

import (
	"time"

	"gavel/projections"
)

// Source reads views. Its methods are safe for concurrent use; their errors are those
// of its fields, wrapped.
type Source struct {
	Reader projections.Reader
	// Decisions is nil in a process without rules.
	Decisions Decisions
	Timeline  Timeline
	Now       func() time.Time
}
