package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// attemptTimeout bounds one try. An election takes 4 to 9 s, so a lost
	// leader costs a few tries; shorter ones would only send more doubles.
	attemptTimeout = 2 * time.Second
	// retryFirst and retryMost bound the pauses between tries.
	retryFirst = 25 * time.Millisecond
	retryMost  = 500 * time.Millisecond
)

// Error codes of JetStream that callers decide by, beside what the status alone
// tells.
const (
	codeDuplicateInProcess = 10158 // the first of two is not decided yet
	codeSubjectInProcess   = 10164 // the one before on this subject is not stored yet
	codeWrongLast          = 10071 // there is one on this subject, and none was expected
	codeNoPeers            = 10005 // too few servers for a stream's replicas
	codeStoreFailed        = 10077 // the stream is at its limit: an alarm, not a delay
	codeServerFull         = 10023 // the streams of a server are at the limit of its storage
	codeAccountFull        = 10002 // those of an account are at the account's
	codeNoStorage          = 10047 // a server or an account cannot reserve what a stream may hold
)

// isTransient reports whether another try may succeed. A time-out is "maybe
// stored", which the journal's readers and the duplicate window of the news
// are made for.
func isTransient(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return isTransientAPI(api)
	}
	for _, e := range []error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrReconnectBufExceeded,
		nats.ErrConnectionReconnecting, nats.ErrDisconnected, nats.ErrStaleConnection,
		jetstream.ErrNoStreamResponse, jetstream.ErrInvalidJSAck,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// isTransientAPI knows 503 (no leader; no storage left, which goes on unaided once
// there is room: see isFull) and 429 (the stream's ingest queue is full).
func isTransientAPI(err *jetstream.APIError) bool {
	if err.ErrorCode == codeStoreFailed {
		return false
	}
	return err.Code == 503 || err.Code == 429 || err.Code == 408 ||
		err.ErrorCode == codeDuplicateInProcess || err.ErrorCode == codeSubjectInProcess
}

// isWrongLast reports whether the stream has a message where none, or another,
// was expected.
func isWrongLast(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == codeWrongLast
}

// isFull reports whether the stream is at its limit, or all streams together are
// at theirs: another try within seconds is in vain.
func isFull(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == codeStoreFailed || isStorageFull(err))
}

// isStorageFull reports whether the streams of a server or an account are at the
// limit of its storage, so that none of them takes anything.
func isStorageFull(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == codeServerFull || api.ErrorCode == codeAccountFull)
}

// promptly is isTransient for callers that somebody waits for: it gives up where
// there is no room.
func promptly(err error) bool { return isTransient(err) && !isFull(err) }

// pauses computes the delays between tries; it never sleeps.
func pauses() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(retryFirst),
		backoff.WithMaxInterval(retryMost),
		backoff.WithMaxElapsedTime(0),
	)
}

// retrying calls try until it succeeds, fails for good, or ctx ends. Each try
// has attemptTimeout. The error is the last try's, and tells why no further
// one was made.
func retrying(ctx context.Context, again func(error) bool, try func(context.Context) error) error {
	pause := pauses()
	for {
		err := attempt(ctx, try)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil && !again(err) {
			return err
		}
		if wait(ctx, pause.NextBackOff()) != nil {
			return ended(ctx, err)
		}
	}
}

func attempt(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	return try(ctx)
}

// ended tells why ctx ended, and the last error before it.
func ended(ctx context.Context, last error) error {
	if last == nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w; last try: %w", context.Cause(ctx), last)
}

// wait returns early, with the reason, when ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
