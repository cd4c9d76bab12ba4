package callback

import "time"

// Limits of the door's HTTP server. Twilio's proxy sends a callback at once and
// gives up after 15 s, so a slower client is not Twilio.
const (
	// ReadTimeout is for header and body together. It is a single deadline,
	// because each deadline costs a request as much as finding its account.
	ReadTimeout = 10 * time.Second
	// IdleTimeout keeps connections for Twilio's next callback.
	IdleTimeout = 60 * time.Second
	// MaxHeaderBytes is enough for a GET callback, whose parameters are in the
	// request line: about 2 KiB.
	MaxHeaderBytes = 16 << 10
)

const (
	// AppendBudget is how long a request waits for the journal. Twilio's limit
	// is 15 s in all, which includes connecting and a retry.
	AppendBudget = 12 * time.Second
	// maxInFlight bounds the genuine requests that wait for the journal at the same
	// time, and so memory and goroutines; with a memory limit it is lower, see memoryPercent.
	maxInFlight = 10_000
	// memoryPercent is the part of the process's memory limit that genuine requests in flight
	// may use, at requestBytes each: a request, its connection's buffers and its goroutine.
	memoryPercent = 25
	requestBytes  = 40 << 10
	// bodyCopies is how often a large body is in memory: as received, decoded, in journal groups and
	// in NATS. A request needs at least so many times its body.
	bodyCopies = 4
	// shortPercent is the part of the memory limit from which on no callback is accepted. The
	// collector needs the rest to keep up.
	shortPercent = 75
	// memoryEvery is how often memory is measured, at most.
	memoryEvery = 50 * time.Millisecond
	// bodyTime is from a request's arrival until its body is complete. Twilio's proxy
	// sends both at once; two lost packets cost 3 s.
	bodyTime = 5 * time.Second
	// maxUnread bounds the requests whose body is not complete, maxUnreadPeer those of
	// one sender, which may be a proxy in front of the door. At 5,000 callbacks a second
	// a genuine body keeps its place for 50 ms. They are at most so many as one of unreadShare
	// requests in flight, so that a port with few connections has others.
	maxUnread     = 1_024
	maxUnreadPeer = 256
	unreadShare   = 4
	// maxForm bounds a form; Twilio's longest is about 2 KiB, because names of
	// rooms and labels have at most 128 characters.
	maxForm = 64 << 10
	// maxBatch bounds an Event Streams body.
	maxBatch = 1 << 20
	// maxRaw bounds the part of an invalid body that a dead letter contains, so
	// that the letter, encoded in base64, stays below a message's 1 MiB.
	maxRaw = 256 << 10
	// maxTogether bounds the appends of one Event Streams batch that wait at
	// the same time; it is enough to fill journal groups.
	maxTogether = 128
	// retryAfter is the Retry-After of every 503, in seconds. Twilio retries
	// only within its own 15 s.
	retryAfter = "1"
)
