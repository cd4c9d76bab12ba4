// Package rest implements Twilio's Conference API, 2010-04-01: conferences, their participants and
// recordings, with the paths, parameters, JSON and errors that Twilio's own clients expect. Such a
// client only needs Gavel's address.
//
// Reads are answered from the state in Redis (picture). Writes are forwarded to
// Twilio unchanged, and the client gets Twilio's answer; the journal records
// before each write who requested what, and afterwards the outcome.
//
// Fields that no callback contains are null. What Gavel has and Twilio's API does not is only
// returned on request: GavelHistory=true adds the participants that left.
//
// Reading order: handler.go (one request), target.go (which resource a path names), query.go
// (filters), paging.go (pages and their envelope), conferences.go, participants.go, recordings.go
// (one file per resource); for writes form.go (the request), action.go (its journal entry),
// write.go (the call to Twilio); answer.go, fault.go (Twilio's errors).
package rest
