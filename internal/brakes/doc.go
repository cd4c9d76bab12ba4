// Package brakes keeps rules from acting too often, and stops all of them on a
// person's word. It counts admissions over all processes, in a bucket that they
// share; whoever gets no answer from it does not act.
//
// All admissions lie in one value, the ledger. An action has to pass its rule's
// limits and its account's ceiling; were those two values, one of them would
// count an action that the other made wait, and would have to be asked to
// forget it: a storm under a low ceiling would trip rules that hardly did
// anything. In one value both admit or none does. Requests that wait together
// share one compare-and-set (package cell), so that a single value holds no storm up.
//
// Reading order: brakes.go (asking to be admitted), ledger.go (what is decided,
// without any network), tally.go (how it is counted and written), trip.go (what
// people see and reset), stop.go (the stop), stopfile.go (the stop without
// NATS), metrics.go.
package brakes
