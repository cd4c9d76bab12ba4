// Package rest answers Twilio's Conference API, 2010-04-01: conferences, their
// participants and recordings, in the paths, parameters, shapes and errors that
// Twilio's own clients know. Pointing such a client at Gavel is all it takes.
//
// Reads are answered from Gavel's picture. Writes go to Twilio as they came and
// are answered as Twilio answers them; before and after, the journal is told
// who asked for what and what came of it.
//
// What no callback ever tells is null. What Gavel can tell and Twilio does not
// is off unless asked for: GavelHistory=true adds the participants that left.
//
// Reading order: handler.go (the way of one request), target.go (which resource
// a path names), query.go (filters), paging.go (pages and their envelope),
// conferences.go, participants.go, recordings.go (one file per resource); for
// writes form.go (what is asked), action.go (what the journal keeps of it),
// write.go (the way to Twilio and back); answer.go, fault.go (Twilio's errors).
package rest
