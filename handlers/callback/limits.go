package callback

import "time"

// Limits of the HTTP server that the door stands on. Twilio's proxy sends a
// callback at once and gives up after 15 s, so who is slower is not Twilio.
const (
	// ReadTimeout is for the header and the body together: one deadline, for
	// each that is set costs a request as much as finding its account.
	ReadTimeout = 10 * time.Second
	// IdleTimeout keeps connections for Twilio's next callback.
	IdleTimeout = 60 * time.Second
	// MaxHeaderBytes holds a GET callback, whose parameters are in its first
	// line: about 2 KiB.
	MaxHeaderBytes = 16 << 10
)

const (
	// AppendBudget is how long a request waits for the journal: Twilio's limit
	// is 15 s in all, and connecting and a retry of its own want their share.
	AppendBudget = 12 * time.Second
	// maxInFlight bounds what waits at the same time, and with it memory
	// (about 10 KiB each) and goroutines.
	maxInFlight = 10_000
	// maxForm bounds a form; Twilio's longest is about 2 KiB, and names of
	// rooms and labels are at most 128 characters.
	maxForm = 64 << 10
	// maxBatch bounds an Event Streams body.
	maxBatch = 1 << 20
	// maxRaw bounds what a dead letter keeps of a body that is no form, so that
	// the letter, with base64 around it, stays below a message's 1 MiB.
	maxRaw = 256 << 10
	// maxTogether bounds the appends of one Event Streams batch that wait at
	// the same time; enough to fill journal groups.
	maxTogether = 128
	// retryAfter is told with every 503, in seconds. Twilio can use only what
	// is left of its own 15 s.
	retryAfter = "1"
)
