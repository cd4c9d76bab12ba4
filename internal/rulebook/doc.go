// Package rulebook records which set of rules is in force. All processes on one
// NATS share it: a bucket holds every set that ever was in force, by version, and
// which one is in force now.
//
// A set that comes into force here is a proposal to the lanes. Each lane adopts
// it at one place of its journal, by an entry rules-loaded, and judges by the
// sets that its journal names.
//
// Reading order: book.go (following the bucket), propose.go (putting a set in
// force), sets.go (sets by version), faults.go (failed evaluations),
// fired.go (counted decisions).
package rulebook
