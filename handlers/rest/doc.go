// Package rest answers Twilio's Conference API, 2010-04-01, from Gavel's
// picture: conferences, their participants and recordings, in the paths,
// parameters, shapes and errors that Twilio's own clients know. Pointing such a
// client at Gavel is all that it takes to read.
//
// What no callback ever tells is null. What Gavel can tell and Twilio does not
// is off unless asked for: GavelHistory=true adds the participants that left.
//
// Reading order: handler.go (the way of one request), target.go (which resource
// a path names), query.go (filters), paging.go (pages and their envelope),
// conferences.go, participants.go, recordings.go (one file per resource),
// fault.go (Twilio's errors).
package rest
