package callback

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"

	"golang.org/x/time/rate"

	"gavel/events"
	"gavel/internal/twilio"
)

// reason is the class of a refusal, for metrics and logs.
type reason string

// All reasons of the door.
const (
	reasonPath        reason = "path" // below /twilio/, but none of the door's
	reasonMethod      reason = "method"
	reasonContentType reason = "content-type"
	reasonTooLarge    reason = "too-large"
	reasonBody        reason = "body"              // could not be read
	reasonSlow        reason = "body-slow"         // not complete in time
	reasonNoSignature reason = "signature-missing" // or duplicated
	reasonMalformed   reason = "signature-form"
	reasonEncoding    reason = "encoding" // of an invalid form, before it could be verified
	reasonAccount     reason = "account"  // not configured here
	reasonSignature   reason = "signature"
	reasonBodyHash    reason = "body-hash"
	reasonQuery       reason = "query" // genuine, but not listed
	reasonForm        reason = "form"  // genuine, but of invalid form

	reasonInFlight    reason = "in-flight"
	reasonMemory      reason = "memory"
	reasonUnavailable reason = "journal-unavailable"
	reasonBudget      reason = "journal-budget" // or the client disconnected
	reasonJournal     reason = "journal-error"
	reasonDeadLetters reason = "dead-letters"
)

// refusals are the reasons of answers 4xx, and sheds those of 503.
var (
	refusals = []reason{
		reasonPath, reasonMethod, reasonContentType, reasonTooLarge, reasonBody, reasonSlow, reasonNoSignature, reasonMalformed,
		reasonEncoding, reasonAccount, reasonSignature, reasonBodyHash, reasonQuery, reasonForm,
	}
	sheds = []reason{reasonInFlight, reasonMemory, reasonUnavailable, reasonBudget, reasonJournal, reasonDeadLetters}
)

// refusal is an answer other than 2xx.
type refusal struct {
	status int
	reason reason
	// account is the SID of the configured account concerned, if known.
	account string
	// fault is the cause; it never contains a parameter's value.
	fault error
}

// Error names the reason.
func (r *refusal) Error() string {
	if r.fault == nil {
		return string(r.reason)
	}
	return string(r.reason) + ": " + r.fault.Error()
}

// Unwrap returns the fault.
func (r *refusal) Unwrap() error { return r.fault }

func refuse(status int, why reason) *refusal { return &refusal{status: status, reason: why} }

// of adds the account concerned.
func (r *refusal) of(a *twilio.Account) *refusal {
	r.account = a.Sid
	return r
}

// because adds the cause.
func (r *refusal) because(fault error) *refusal {
	r.fault = fault
	return r
}

// unavailable turns an error of the journal into a refusal.
func unavailable(err error) *refusal {
	why := reasonJournal
	switch {
	case errors.Is(err, events.ErrUnavailable):
		why = reasonUnavailable
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		why = reasonBudget
	}
	return refuse(http.StatusServiceUnavailable, why).because(err)
}

// Refusals are logged up to this rate; metrics count all of them. Anyone can
// send invalid requests, and must not be able to fill the disk with log lines.
const (
	linesPerSecond = 10
	linesAtOnce    = 100
)

// refusalLog writes one line for each refusal, up to the rate.
type refusalLog struct {
	log     *slog.Logger
	limit   *rate.Limiter
	skipped atomic.Int64
}

func newRefusalLog(log *slog.Logger) *refusalLog {
	return &refusalLog{log: log, limit: rate.NewLimiter(linesPerSecond, linesAtOnce)}
}

// write logs which URL was expected, because a wrong public URL is the usual cause of a wrong
// signature. Queries are not logged: on a GET they contain every parameter.
func (l *refusalLog) write(ctx context.Context, r *refusal, at *endpoint, hasQuery bool) {
	if !l.limit.Allow() {
		l.skipped.Add(1)
		return
	}
	attrs := []slog.Attr{
		slog.String("reason", string(r.reason)),
		slog.Int("status", r.status),
		slog.String("expected_url", at.urls.String()),
		slog.Bool("with_query", hasQuery),
	}
	if r.account != "" {
		attrs = append(attrs, slog.String("account_sid", r.account))
	}
	if r.fault != nil {
		attrs = append(attrs, slog.String("fault", r.fault.Error()))
	}
	if n := l.skipped.Swap(0); n > 0 {
		attrs = append(attrs, slog.Int64("lines_skipped", n))
	}
	level := slog.LevelWarn
	if r.status == http.StatusServiceUnavailable {
		level = slog.LevelError
	}
	l.log.LogAttrs(ctx, level, "callback refused", attrs...)
}
