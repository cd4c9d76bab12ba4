// Package brakes limits how often rules act, and stops all of them when an
// operator requests it. It counts admissions over all processes, in a bucket
// that they share. A process that gets no answer from the bucket does not act.
//
// One value, the ledger, holds all admissions. An action has to pass its rule's
// limits and its account's ceiling. With two values, one of them would count an
// action that the other made wait, and the count would have to be undone: a
// storm under a low ceiling would trip rules that did hardly anything. With one
// value, both admit or neither does. Requests that wait together share one
// compare-and-set (package cell), so a single value does not delay a storm.
//
// Reading order: brakes.go (requesting admission), ledger.go (the decision,
// without any network), tally.go (counting and encoding), trip.go (what
// operators see and reset), stop.go (the stop), stopfile.go (the stop without
// NATS), metrics.go.
package brakes
