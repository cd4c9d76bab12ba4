package twilio

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const (
	// firstDelay is how long a call waits after its first 429; later ones wait
	// half as long again, give or take half, so that those refused together do
	// not come back together.
	firstDelay = 200 * time.Millisecond
	// maxRetryAfter is more than any caller waits; greater values would only
	// overflow.
	maxRetryAfter = 24 * time.Hour
	// leastTry is what a wait leaves of the caller's time: a try that is begun
	// too late ends in silence, after which nobody knows what Twilio did.
	leastTry = time.Second
)

// delays are the waits of one call between its tries.
type delays struct{ own *backoff.ExponentialBackOff }

func newDelays() delays {
	return delays{backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstDelay),
		backoff.WithMaxElapsedTime(0), // the context says when it is enough
	)}
}

// next is the wait after a 429: what Twilio asks for, and never less than our
// own, for it may ask for none.
func (d delays) next(answer http.Header) time.Duration {
	return max(d.own.NextBackOff(), retryAfter(answer.Get("Retry-After"), time.Now()))
}

// RetryAfter is how long Twilio asks to be left alone, or 0.
func (a Answer) RetryAfter() time.Duration {
	return retryAfter(a.Header.Get("Retry-After"), time.Now())
}

// retryAfter reads the header's two forms (RFC 9110, 10.2.3), seconds and a
// date; anything else is no wait.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// leavingATry ends so long before ctx that a try still has time.
func leavingATry(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-leastTry))
}

// wait lets d pass. It returns false at once where that leaves no time for a
// try.
func wait(ctx context.Context, d time.Duration) bool {
	ctx, cancel := leavingATry(ctx)
	defer cancel()
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
