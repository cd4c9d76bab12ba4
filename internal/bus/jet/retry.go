package jet

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
	// AttemptTimeout bounds one try. An election takes 4 to 9 s, so a lost
	// leader costs a few tries; shorter ones would only send more doubles.
	AttemptTimeout = 2 * time.Second
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
	codeStoreFailed        = 10077 // the stream is at its limit: an alarm, not a delay
	codeServerFull         = 10023 // the streams of a server are at the limit of its storage
	codeAccountFull        = 10002 // those of an account are at the account's
	codeNoStorage          = 10047 // a server or an account cannot reserve what a stream may hold
	codeNoPeers            = 10005 // too few servers for a stream's replicas
)

// Transient reports whether another try may succeed. A time-out is "maybe
// stored", which the journal's readers and the duplicate window of the news
// are made for.
func Transient(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return transientAPI(api)
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

// transientAPI knows 503 (no leader; no storage left, which goes on unaided once
// there is room: see Full) and 429 (the stream's ingest queue is full).
func transientAPI(err *jetstream.APIError) bool {
	if err.ErrorCode == codeStoreFailed {
		return false
	}
	return err.Code == 503 || err.Code == 429 || err.Code == 408 ||
		err.ErrorCode == codeDuplicateInProcess || err.ErrorCode == codeSubjectInProcess
}

// WrongLast reports whether the stream has a message where none, or another,
// was expected.
func WrongLast(err error) bool { return codeOf(err) == codeWrongLast }

// Full reports whether the stream is at its limit, or all streams together are
// at theirs: another try within seconds is in vain.
func Full(err error) bool { return codeOf(err) == codeStoreFailed || StorageFull(err) }

// StorageFull reports whether the streams of a server or an account are at the
// limit of its storage, so that none of them takes anything.
func StorageFull(err error) bool {
	code := codeOf(err)
	return code == codeServerFull || code == codeAccountFull
}

// CannotReserve reports whether a stream was not made or changed because a server or
// an account cannot reserve its limit in bytes.
func CannotReserve(err error) bool { return codeOf(err) == codeNoStorage }

// Starting reports whether another try may succeed because a cluster is not
// complete yet.
func Starting(err error) bool { return Transient(err) || codeOf(err) == codeNoPeers }

// Promptly is Transient for callers that cannot wait until there is room again.
func Promptly(err error) bool { return Transient(err) && !Full(err) }

// codeOf is the code of JetStream's answer, 0 where the error is none.
func codeOf(err error) jetstream.ErrorCode {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return 0
	}
	return api.ErrorCode
}

// pauses computes the delays between tries; it never sleeps.
func pauses() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(retryFirst),
		backoff.WithMaxInterval(retryMost),
		backoff.WithMaxElapsedTime(0),
	)
}

// Retry calls try until it succeeds, fails for good, or ctx ends. Each try
// has AttemptTimeout. The error is the last try's, and tells why no further
// one was made.
func Retry(ctx context.Context, again func(error) bool, try func(context.Context) error) error {
	pause := pauses()
	for {
		err := Attempt(ctx, try)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil && !again(err) {
			return err
		}
		if Wait(ctx, pause.NextBackOff()) != nil {
			return ended(ctx, err)
		}
	}
}

// Attempt calls try once, with AttemptTimeout.
func Attempt(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, AttemptTimeout)
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

// Wait returns early, with the reason, when ctx ends.
func Wait(ctx context.Context, d time.Duration) error {
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
