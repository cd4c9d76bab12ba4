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
// router over a Publisher and a Subscriber of our own.
//
// What rules decide is kept once and for ever by an expected last sequence, and
// performed by crews: durable consumers with many hands. Alarm clocks are
// message schedules of NATS; they wake and decide nothing.
//
// Reading order: names.go (everything that has a name on the wire), config.go
// and bus.go (opening and closing, with package natsd for the server and the
// connections), streams.go, room.go and checks.go (what is made, how much each
// stream may hold, what is refused), health.go and
// retry.go (when to wait and when to give up), journal.go and replay.go,
// deal.go and peers.go (who works which lane),
// lane.go with pull.go, news.go with tickets.go, waves.go, batch.go and
// timeline.go, actions.go with durable.go and crew.go, timers.go and rings.go,
// notices.go, publisher.go and subscriber.go with settle.go, deadletters.go,
// bucket.go, examine.go (what is there, for a doctor).
package bus
