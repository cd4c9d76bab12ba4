// Package api is Gavel's own API under /v1: what the command line, the board
// and scripts ask. It shows what Twilio's shape has no place for: everybody who
// was ever in a conference, when and how long, why it ended, what is missing,
// the events it is made of, and new ones as they come; what rules are about to do
// and did, and how people keep them from it; what could not go on.
//
// Operations are declared to huma, which checks requests against the types here
// and describes them at /v1/openapi.json; errors are problem+json (RFC 9457). What
// is shown comes from package views; here are HTTP and who may see what.
//
// Reading order: api.go (wiring), auth.go (who asks), search.go, conference.go, timeline.go, rules.go (in force), armed.go,
// decisions.go, exempt.go, stop.go, deadletters.go, stream.go (what a stream is)
// with tail.go and rebuild.go, keys.go, problem.go (errors).
package api
