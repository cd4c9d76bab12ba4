// Package bus connects Gavel to NATS JetStream: the embedded server or the connection
// to an external one, the streams, and their messages. Only bus, jet and natsd import
// nats-server, nats.go and watermill; their callers use the types of package events.
//
// The journal is written by group commit: entries that wait together become one
// message, so that one fsync acknowledges many. A lane is read by one projector at a
// time, strictly in journal order, and projectors share the lanes evenly without a
// coordinator. A later fact of a conference is never in flight before an earlier one is
// acknowledged. Dead letters are processed one message at a time, on watermill's router.
//
// Decisions are stored once and for ever by an expected last sequence, and performed by
// the workers of durable consumers. Alarms are message schedules of NATS; they wake
// conferences and decide nothing.
//
// The mechanisms that do not depend on Gavel's streams are in two other packages: natsd
// (the embedded server and connections) and jet (retries, publishing many messages, the
// loop over a consumer, reading a stream, buckets).
//
// Reading order: names.go (all names on the wire), config.go and bus.go (opening and closing),
// streams.go, room.go and checks.go (the streams, their limits, refused settings), health.go (when
// appends fail at once), journal.go and replay.go, assign.go and peers.go (which projector owns
// which lane), lane.go with pull.go, news.go, actions.go, timers.go, notices.go, deadletters.go,
// examine.go (the state of an external NATS, for gavel doctor).
package bus
