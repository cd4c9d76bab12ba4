// Package projections is the picture of every conference: the record, how an
// event changes it, and the interfaces of the stores that keep records.
//
// [Fold] is one pure function, the same for live traffic, fills, rebuilds and tests. Any order and
// any duplication of the same events gives the same [Conference], byte for byte in canonical JSON.
// It works because every field has one of four shapes that do not depend on order: the value stated
// with the greatest SequenceNumber, the earliest or latest time, a set sorted by name, or a set of
// moments sorted by SequenceNumber.
//
// What Twilio's REST API states and no callback did is folded too, as healed
// facts: [Heal] returns them, [Overlay] returns the record with them applied.
//
// Reading order: conference.go and action.go (the record), fold.go and heal.go
// (how it changes), status.go and why.go (what is derived from it), resource.go
// (Twilio's JSON), store.go (how it is stored).
package projections
