// Package jet holds mechanisms over NATS JetStream that depend on none of Gavel's
// streams. Its only state is connections and the goroutines of calls in progress.
//
// Reading order: retry.go (which errors are retried), pipeline.go with acks.go and atomic.go
// (publishing many messages), workers.go with settle.go (the one loop over a durable consumer),
// publisher.go, subscriber.go and routerlog.go (the same for watermill), follow.go (reading a
// stream from a sequence, or backwards), bucket.go (keys and values).
package jet
