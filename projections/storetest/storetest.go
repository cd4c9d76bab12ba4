// Package storetest is what a [projections.Store] must do, as tests.
//
// Real in here: the store and the Redis under it. There are no doubles; the
// part of the projector is played by [process], which does what a projector
// does with a store and nothing else. A test may assert what the seam promises
// (values, order of lists, the sentinel errors) and nothing of keys, commands or
// texts of errors.
//
// Reading order: process.go (the projector's part, and fixtures), records.go,
// lists.go, losing.go, building.go, expiring.go, rules.go.
package storetest

import (
	"testing"

	"gavel/projections"
)

// Harness is an empty Redis of one test.
type Harness struct {
	// Open opens a store on it, each as another process would.
	Open func(t *testing.T, lanes int) projections.Store
	// Empty makes it forget everything.
	Empty func(t *testing.T)
	// Snapshot keeps what it holds now; calling the result brings it back, as
	// a restart from an old snapshot does.
	Snapshot func(t *testing.T) (rollBack func())
}

// Run runs the suite. start gives each test a Redis of its own.
func Run(t *testing.T, start func(t *testing.T) Harness) {
	for name, test := range map[string]func(*testing.T, Harness){
		"saved records are loaded as they were":          savedIsLoaded,
		"a record grows to 250 legs":                     growsTo250Legs,
		"a stale writer is refused":                      staleWriterIsRefused,
		"a batch that conflicts can be written again":    conflictingBatchAgain,
		"two processes take turns":                       twoProcessesTakeTurns,
		"a lane that was not checked is not written":     uncheckedLane,
		"every filter finds what it should":              filters,
		"pages stay where they are":                      pagesStay,
		"pages of filtered lists are turned both ways":   pagesOfFilters,
		"conferences of one second are all listed":       oneSecond,
		"a page token of nobody is refused":              badPage,
		"accounts are listed":                            accounts,
		"an empty Redis is lost, not a picture of none":  neverFilled,
		"an emptied Redis is noticed by every step":      emptied,
		"a Redis that went back is noticed":              rolledBack,
		"a Redis that went back is noticed by its floor": rolledBackWhileAway,
		"a Redis that went back is noticed when idle":    rolledBackIdle,
		"losing one lane leaves the others":              lanesAreApart,
		"a build stays unseen until it is committed":     buildBesideLive,
		"an abandoned build leaves no trace":             abandoned,
		"a newer build ends the older":                   newerBuild,
		"a build that lost its ground is not committed":  buildLost,
		"readers never miss a record during rebuilds":    readersDuringRebuilds,
		"what is over for long is forgotten":             expire,
		"every number of lanes shows the same picture":   numbersOfLanes,
		"rule state is saved beside its record":          ruleState,
		"deadlines are found, the earliest first":        deadlines,
		"deadlines leave with their conferences":         deadlinesLeave,
		"armed deadlines are listed over all lanes":      armed,
		"a lane's own state goes with its position":      laneState,
		"a build brings its lane's own state":            laneStateOfABuild,
		"a lane's own state that was lost is noticed":    laneStateLost,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}
