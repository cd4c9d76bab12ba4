// Package jet holds mechanisms over NATS JetStream that depend on none of Gavel's
// streams. It has no state of its own beyond connections and goroutines of calls
// under way.
//
// Reading order: retry.go (which errors are worth another try), pipeline.go with
// acks.go and atomic.go (publishing many messages), workers.go with settle.go (the
// one loop over a durable consumer), publisher.go, subscriber.go and routerlog.go
// (the same for watermill), follow.go (reading a stream from a place on, or
// backwards), bucket.go (keys and values).
package jet
