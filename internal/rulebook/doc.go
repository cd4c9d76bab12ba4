// Package rulebook knows which set of rules is in force. All processes of one
// NATS share one: a bucket holds every set that ever was in force, by version,
// and which one is now.
//
// What comes into force here is a proposal to the lanes: each takes it over at
// one place of its journal, by an entry rules-loaded, and judges by the sets
// that its journal names.
//
// Reading order: book.go (following the bucket), propose.go (putting a set in
// force), sets.go (sets by version), faults.go (what could not be evaluated).
package rulebook
