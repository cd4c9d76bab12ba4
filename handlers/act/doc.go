// Package act is the performer: it performs the decisions of rules, each once.
// A destructive step is performed only after a fetch of the state at Twilio,
// within five minutes of the decision, and while no stop is set.
//
// Reading order: act.go (what a performer needs and consumes); perform.go (the steps of one
// decision, in order); operation.go with set.go and announce.go (the request to Twilio); outcome.go
// (what the answer means); waiting.go (what has to wait, and what has waited too long); record.go
// (what is appended to the journal); notify.go, publish.go and webhook.go (notifications);
// redrive.go (decisions that a person requests again). fetch.go is apart from decisions: it fetches
// what only Twilio has of a conference that ended.
//
// Every path ends with an outcome in the journal or with a later try. A crash between any two steps
// repeats the steps before it: the record shows what was recorded, Twilio's state what was done.
package act
