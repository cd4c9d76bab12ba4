package twilio

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const (
	// firstDelay is how long a call waits after its first 429; each later wait is 1.5 times as
	// long, randomized by half, so that calls refused together are not sent again together.
	firstDelay = 200 * time.Millisecond
	// maxRetryAfter is more than any caller waits; a greater value could overflow.
	maxRetryAfter = 24 * time.Hour
	// leastTry is the time that a wait leaves for an attempt: an attempt that
	// begins too late ends without an answer, and its effect is unknown.
	leastTry = time.Second
)

// delays are the waits of one call between its attempts.
type delays struct{ own *backoff.ExponentialBackOff }

func newDelays() delays {
	return delays{backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstDelay),
		backoff.WithMaxElapsedTime(0), // the context limits the total
	)}
}

// next is the wait after a 429: the time that Twilio requests, but at least our
// own delay, because Twilio may request none.
func (d delays) next(answer http.Header) time.Duration {
	return max(d.own.NextBackOff(), ParseRetryAfter(answer.Get("Retry-After"), time.Now()))
}

// RetryAfter is how long Twilio requests to wait, or 0.
func (a Answer) RetryAfter() time.Duration {
	return ParseRetryAfter(a.Header.Get("Retry-After"), time.Now())
}

// ParseRetryAfter parses the two forms of the header Retry-After (RFC 9110,
// 10.2.3), seconds and a date; anything else means no wait.
func ParseRetryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// leavingATry returns a context that ends early enough before ctx for one more attempt.
func leavingATry(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-leastTry))
}

// wait waits for d. It returns false at once if that leaves no time for an attempt.
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
