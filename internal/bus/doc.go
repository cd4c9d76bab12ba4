// Package bus is Gavel's way to NATS JetStream: the embedded server or the
// connection to an external one, the streams, and what travels through them.
// Only it and its parts import nats-server, nats.go and watermill; what
// crosses its border are types of package events.
//
// The journal is written by group commit: callers that wait together travel
// in one message, so that one fsync acknowledges many. A lane is read by one
// projector at a time, strictly in journal order, and projectors share the lanes
// evenly without anybody who decides for all. News goes out so that a
// later fact of a conference is never in flight before an earlier one is
// acknowledged. Dead letters are worked one message at a time, on watermill's
// router.
//
// What rules decide is kept once and for ever by an expected last sequence, and
// performed by the workers of durable consumers. Alarm clocks are
// message schedules of NATS; they wake and decide nothing.
//
// What depends on none of Gavel's streams is in two packages beside it: natsd is
// the embedded server and the connections, jet the mechanisms over JetStream:
// retries, publishing many messages, the loop over a consumer, reading a stream,
// buckets.
//
// Reading order: names.go (everything that has a name on the wire), config.go
// and bus.go (opening and closing), streams.go, room.go and checks.go (what is made,
// how much each stream may hold, what is refused), health.go (when to give up),
// journal.go and replay.go, deal.go and peers.go (who works which lane),
// lane.go with pull.go, news.go, actions.go, timers.go, notices.go, deadletters.go,
// examine.go (what is there, for a doctor).
package bus
