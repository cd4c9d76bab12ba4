// Package api is Gavel's own API under /v1, for the command line, the board and scripts. It serves
// what Twilio's shape has no place for: all participants that were ever in a conference, when and
// how long, why it ended, what is missing, its events, and new events as they arrive; the pending
// and past actions of rules, exemptions and the stop; dead letters.
//
// Operations are declared to huma, which checks requests against the types here
// and describes them at /v1/openapi.json; errors are problem+json (RFC 9457).
// Package views has the data; this package has HTTP and access control.
//
// Reading order: api.go (wiring), auth.go, search.go, conference.go, timeline.go,
// rules.go, armed.go, decisions.go, exempt.go, stop.go, deadletters.go, stream.go
// with tail.go and rebuild.go, keys.go, problem.go (errors).
package api
