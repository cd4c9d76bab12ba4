package jet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// AttemptTimeout bounds one try. An election takes 4 to 9 s, so a lost leader
	// costs a few tries; shorter ones would only send more duplicates.
	AttemptTimeout = 2 * time.Second
	// retryFirst and retryMost bound the pauses between tries.
	retryFirst = 25 * time.Millisecond
	retryMost  = 500 * time.Millisecond
)

// Error codes of JetStream where the status alone is not enough to decide.
const (
	codeDuplicateInProcess = 10158 // the first of two duplicates is in progress
	codeSubjectInProcess   = 10164 // an earlier message on the subject is in progress
	codeWrongLast          = 10071 // the subject has another last message than expected
	codeStoreFailed        = 10077 // the stream is at its limit; not transient
	codeServerFull         = 10023 // the streams of a server are at the limit of its storage
	codeAccountFull        = 10002 // the streams of an account are at its limit
	codeNoStorage          = 10047 // a server or an account cannot reserve what a stream may hold
	codeNoPeers            = 10005 // too few servers for a stream's replicas
)

// Transient reports whether a retry may succeed. After a timeout the message may be stored: the
// journal's readers and the duplicate window of the news stream handle duplicates.
func Transient(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return transientAPI(api)
	}
	return slices.ContainsFunc([]error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrReconnectBufExceeded,
		nats.ErrConnectionReconnecting, nats.ErrDisconnected, nats.ErrStaleConnection,
		jetstream.ErrNoStreamResponse, jetstream.ErrInvalidJSAck,
	}, func(transient error) bool { return errors.Is(err, transient) })
}

// transientAPI accepts 503 (no leader, or no storage left, which ends once there is
// room: see Full) and 429 (the stream's ingest queue is full).
func transientAPI(err *jetstream.APIError) bool {
	if err.ErrorCode == codeStoreFailed {
		return false
	}
	return err.Code == 503 || err.Code == 429 || err.Code == 408 ||
		err.ErrorCode == codeDuplicateInProcess || err.ErrorCode == codeSubjectInProcess
}

// WrongLast reports whether the subject's last message is not the expected one.
func WrongLast(err error) bool { return codeOf(err) == codeWrongLast }

// Full reports whether the stream, or all streams together, are at their limit. A
// retry within seconds fails as well.
func Full(err error) bool { return codeOf(err) == codeStoreFailed || StorageFull(err) }

// StorageFull reports whether a server or an account has no storage left, so that
// none of its streams accepts messages.
func StorageFull(err error) bool {
	code := codeOf(err)
	return code == codeServerFull || code == codeAccountFull
}

// CannotReserve reports whether a stream was not created or updated because a server
// or an account cannot reserve its limit in bytes.
func CannotReserve(err error) bool { return codeOf(err) == codeNoStorage }

// Starting reports whether a retry may succeed, also because a cluster is still starting.
func Starting(err error) bool { return Transient(err) || codeOf(err) == codeNoPeers }

// Promptly is Transient for callers that cannot wait for free storage.
func Promptly(err error) bool { return Transient(err) && !Full(err) }

// codeOf returns the code of a JetStream error, 0 for any other error.
func codeOf(err error) jetstream.ErrorCode {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return 0
	}
	return api.ErrorCode
}

// pauses computes the delays between tries.
func pauses() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(retryFirst),
		backoff.WithMaxInterval(retryMost),
		backoff.WithMaxElapsedTime(0),
	)
}

// Retry calls try until it succeeds, retryable returns false, or ctx ends. Each try
// has AttemptTimeout. The error wraps the last try's and the reason for the end.
func Retry(ctx context.Context, retryable func(error) bool, try func(context.Context) error) error {
	return RetryEach(ctx, AttemptTimeout, retryable, try)
}

// RetryEach is Retry with another limit for each try.
func RetryEach(ctx context.Context, each time.Duration, retryable func(error) bool, try func(context.Context) error) error {
	pause := pauses()
	for {
		err := attempt(ctx, each, try)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil && !retryable(err) {
			return err
		}
		if Wait(ctx, pause.NextBackOff()) != nil {
			return endError(ctx, err)
		}
	}
}

// Attempt calls try once, with AttemptTimeout.
func Attempt(ctx context.Context, try func(context.Context) error) error {
	return attempt(ctx, AttemptTimeout, try)
}

func attempt(ctx context.Context, within time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return try(ctx)
}

// endError wraps the reason why ctx ended, and the last error before it.
func endError(ctx context.Context, last error) error {
	if last == nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w; last try: %w", context.Cause(ctx), last)
}

// Wait waits for d. If ctx ends, it returns the reason at once.
func Wait(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
