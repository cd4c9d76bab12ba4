// Package act is the performer: it takes what rules decided and does it, each
// decision once. What is destructive is done only after Twilio was asked how
// things stand, within five minutes of the decision, and while nobody stops it.
//
// Reading order: act.go (what it is made of, and what it listens to);
// perform.go (the steps of one decision, in order: it reads the record, the state
// at Twilio and the brakes); deed.go with deeds.go, set.go and announce.go (what
// Twilio is asked); outcome.go (what its answer means); waiting.go (what has to
// wait, and what waited too long); record.go (what is appended to the journal);
// tell.go with teller.go, publish.go and webhook.go (notifications); redrive.go
// (what a person requests again).
//
// Every path ends in an outcome in the journal or in a later try. A crash
// between any two steps repeats the ones before: the record says what was
// recorded, Twilio says what was done.
package act
