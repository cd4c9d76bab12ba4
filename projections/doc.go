// Package projections is the picture of every conference: what the record is,
// how an event changes it, and the seam behind which records are kept.
//
// [Fold] is one pure function, the same for live traffic, filling, rebuilding
// and tests. Any order and any duplication of the same events gives the same
// [Conference], byte for byte in canonical JSON. It works because every field
// is one of four shapes that do not care about order: the value told with the
// greatest SequenceNumber, the earliest or latest time, a set sorted by name,
// or a set of moments sorted by SequenceNumber.
//
// What no callback told and Twilio's REST API says otherwise is folded too, as
// healed facts: [Heal] says which, [Overlay] how the record stands with them.
//
// Reading order: conference.go and action.go (the record), fold.go and heal.go
// (how it changes), status.go and why.go (what it says), resource.go (Twilio's
// JSON), store.go (where it is kept).
package projections
