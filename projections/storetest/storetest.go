// Package storetest is the conformance suite of a [projections.Store].
//
// The store and the Redis under it are real; the suite uses no doubles. [process] plays the
// projector's part: it does what a projector does with a store and nothing else. A test may assert
// what the interface promises (values, order of lists, the sentinel errors), and nothing about
// keys, commands or error texts.
//
// Reading order: process.go (the projector's part, and fixtures), records.go,
// lists.go, losing.go, building.go, expiring.go, rules.go.
package storetest

import (
	"testing"

	"gavel/projections"
)

// Harness is the Redis of one test, empty at first.
type Harness struct {
	// Open opens a store on it, each as another process would.
	Open func(t *testing.T, lanes int) projections.Store
	// Empty removes all of its data.
	Empty func(t *testing.T)
	// Snapshot copies its data; calling the result restores it, as a restart
	// from an old snapshot does.
	Snapshot func(t *testing.T) (rollBack func())
}

// Run runs the suite. start returns a separate Redis for each test.
func Run(t *testing.T, start func(t *testing.T) Harness) {
	for name, test := range map[string]func(*testing.T, Harness){
		"saved records are loaded as they were":                          savedIsLoaded,
		"a record grows to 250 legs":                                     growsTo250Legs,
		"a stale writer is refused":                                      staleWriterIsRefused,
		"a batch that conflicts can be written again":                    conflictingBatchAgain,
		"two processes take turns":                                       twoProcessesTakeTurns,
		"a lane is not written before it is checked":                     uncheckedLane,
		"every filter finds its matches":                                 filters,
		"pages do not shift while conferences arrive":                    pagesStay,
		"pages of filtered lists are read both ways":                     pagesOfFilters,
		"conferences of one second are all listed":                       oneSecond,
		"an unknown page token is refused":                               badPage,
		"accounts are listed":                                            accounts,
		"an empty Redis counts as lost, not as an empty picture":         neverFilled,
		"the chain is stored with the position and outlives the picture": chainOutlives,
		"every step detects an emptied Redis":                            emptied,
		"a rolled back Redis is detected":                                rolledBack,
		"a rolled back Redis is detected by its floor":                   rolledBackWhileAway,
		"a rolled back Redis is detected when idle":                      rolledBackIdle,
		"losing one lane does not affect the others":                     lanesAreApart,
		"a build is not visible until it is committed":                   buildBesideLive,
		"a build is read and changed before it is committed":             buildChanges,
		"a build expires conferences before it is committed":             buildExpires,
		"an abandoned build has no effect":                               abandoned,
		"a newer build ends the older one":                               newerBuild,
		"a build that lost data is not committed":                        buildLost,
		"readers find every record during rebuilds":                      readersDuringRebuilds,
		"conferences expire after their retention":                       expire,
		"every number of lanes shows the same picture":                   numbersOfLanes,
		"rule state is saved with its record":                            ruleState,
		"deadlines are found, the earliest first":                        deadlines,
		"deadlines are removed with their conferences":                   deadlinesLeave,
		"armed deadlines are listed over all lanes":                      armed,
		"a lane's own state is stored with its position":                 laneState,
		"a build commits its lane's own state":                           laneStateOfABuild,
		"a lost lane state is detected":                                  laneStateLost,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}
