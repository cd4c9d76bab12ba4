package twiliofake

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Faults are failures on the way to the receiver. The first three are
// probabilities from 0 to 1 for each callback.
type Faults struct {
	// Lose never sends the callback.
	Lose float64
	// Duplicate sends it again up to 5 s later, with the same idempotency token.
	Duplicate float64
	// Reorder delays it by 1 to 4 s, so that later ones arrive first.
	Reorder float64
	// Delay is the longest random delay of each callback, which also reorders close ones.
	Delay time.Duration
}

// maxInFlight bounds the requests in flight. On a FastForward clock only this
// bound keeps the floor from outrunning its receiver.
const maxInFlight = 64

// retryPause is the pause before the second attempt; it doubles after each
// attempt. Twilio documents no pause (not confirmed).
const retryPause = 100 * time.Millisecond

// sender delivers callbacks to their receiver as Twilio's documentation of
// connection overrides states.
type sender struct {
	webhooks *webhooks
	agenda   *agenda
	faults   Faults
	chance   *rand.Rand // used only by the agenda's goroutine
	given    http.RoundTripper
	log      *slog.Logger

	inFlight  chan struct{}
	deliverer sync.WaitGroup
	accepted  atomic.Int64

	mu         sync.Mutex
	tails      map[string]chan struct{} // the last delivery of each conference, closed when it has ended
	transports map[overrides]*http.Transport

	streams *eventStreams
}

func newSender(c Config, a *agenda) *sender {
	s := &sender{
		webhooks:   newWebhooks(c),
		agenda:     a,
		faults:     c.Faults,
		chance:     stream(c.Seed, "faults"),
		given:      c.Transport,
		log:        c.Logger,
		inFlight:   make(chan struct{}, maxInFlight),
		tails:      map[string]chan struct{}{},
		transports: map[overrides]*http.Transport{},
	}
	s.streams = newEventStreams(c, s)
	return s
}

// wait returns when no delivery is in flight.
func (s *sender) wait() {
	s.deliverer.Wait()
	for _, transport := range s.transports {
		transport.CloseIdleConnections()
	}
}

// send starts to deliver callbacks, after adding the faults. Only the agenda's goroutine calls it.
func (s *sender) send(ctx context.Context, callbacks []callback) {
	for _, cb := range callbacks {
		s.streams.add(ctx, cb)
		if cb.api == "" {
			s.plan(ctx, cb)
		}
	}
}

// settle waits until the deliveries in flight have ended. It does not wait for
// those that faults delay.
func (s *sender) settle(ctx context.Context) error {
	s.mu.Lock()
	tails := slices.Collect(maps.Values(s.tails))
	s.mu.Unlock()
	for _, tail := range tails {
		select {
		case <-tail:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// plan decides the faults of one callback. It draws the same random numbers for each, so that one
// setting does not change which callbacks another one affects.
func (s *sender) plan(ctx context.Context, cb callback) {
	lost := s.chance.Float64() < s.faults.Lose
	doubled := s.chance.Float64() < s.faults.Duplicate
	overtaken := s.chance.Float64() < s.faults.Reorder
	delay := time.Duration(s.chance.Float64() * float64(s.faults.Delay))
	back := time.Second + time.Duration(s.chance.Float64()*float64(3*time.Second))
	again := time.Duration(s.chance.Float64() * float64(5*time.Second))
	if lost {
		return
	}
	if overtaken {
		delay += back
	}
	s.dispatchAfter(ctx, delay, cb)
	if doubled {
		s.dispatchAfter(ctx, delay+again, cb)
	}
}

func (s *sender) dispatchAfter(ctx context.Context, delay time.Duration, cb callback) {
	if delay == 0 {
		s.dispatch(ctx, cb)
		return
	}
	s.agenda.after(delay, func() error {
		s.dispatch(ctx, cb)
		return nil
	})
}

// dispatch delivers in the background, after the conference's previous delivery: without faults
// callbacks arrive in order, although Twilio promises none, so that only Faults cause disorder.
func (s *sender) dispatch(ctx context.Context, cb callback) {
	s.inFlight <- struct{}{}
	before, done := s.queue(cb.conferenceSid)
	s.deliverer.Go(func() {
		defer func() { <-s.inFlight }()
		defer s.leaveQueue(cb.conferenceSid, done)
		if before != nil {
			<-before
		}
		s.deliver(ctx, cb)
	})
}

func (s *sender) queue(conferenceSid string) (before, done chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, done = s.tails[conferenceSid], make(chan struct{})
	s.tails[conferenceSid] = done
	return before, done
}

func (s *sender) leaveQueue(conferenceSid string, done chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(done)
	if s.tails[conferenceSid] == done {
		delete(s.tails, conferenceSid)
	}
}

// deliver makes the attempts that the callback's URL requests. If ctx ends, it
// finishes the current attempt and makes no other.
func (s *sender) deliver(ctx context.Context, cb callback) {
	o := parseOverrides(cb.to.URL)
	budget, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.total)
	defer cancel()
	failure := ""
	for attempt := 0; attempt <= o.retries; attempt++ {
		if failure = s.attempt(budget, cb, o); failure == "" {
			s.accept(cb)
			return
		}
		if !o.retryAfter(failure) || !pause(ctx, budget, retryPause<<attempt) {
			break
		}
	}
	s.log.Warn("callback lost", "conference_sid", cb.conferenceSid, "event_type", cb.event, "failure", failure)
}

// accept counts a callback the first time it is answered 2xx.
func (s *sender) accept(cb callback) {
	if !cb.accepted.Swap(true) {
		s.accepted.Add(1)
	}
}

// attempt sends one request and returns the failure: "ct" (no connection), "rt"
// (no answer), a status of 300 or more, or "" on success.
func (s *sender) attempt(ctx context.Context, cb callback, o overrides) (failure string) {
	request, err := cb.request(ctx, s.webhooks)
	if err != nil {
		return "url"
	}
	failure = s.exchange(request, o, cb.answered)
	if user := cb.user(); failure == "401" && user != nil {
		// Credentials in the URL are sent only after a challenge (Twilio, "Webhooks security").
		again, err := cb.request(ctx, s.webhooks)
		if err != nil {
			return "url"
		}
		password, _ := user.Password()
		again.SetBasicAuth(user.Username(), password)
		return s.exchange(again, o, cb.answered)
	}
	return failure
}

// user is the user name and password of the callback URL, or nil.
func (cb callback) user() *url.Userinfo {
	target, err := url.Parse(cb.to.URL)
	if err != nil {
		return nil
	}
	return target.User
}

// exchange sends a request, passes the body of a successful answer to answered
// if that is not nil, and returns the failure.
func (s *sender) exchange(request *http.Request, o overrides, answered func(body []byte)) (failure string) {
	response, err := s.transport(o).RoundTrip(request)
	if err != nil {
		return failureOf(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	switch {
	case err != nil:
		return failureOf(err)
	case response.StatusCode >= http.StatusMultipleChoices:
		return strconv.Itoa(response.StatusCode)
	case answered != nil:
		answered(body)
	}
	return ""
}

// request builds a signed request with the headers of a captured one.
func (cb callback) request(ctx context.Context, w *webhooks) (*http.Request, error) {
	target, err := url.Parse(cb.to.URL)
	if err != nil {
		return nil, err
	}
	target.Fragment, target.RawFragment, target.User = "", "", nil
	method, body := http.MethodPost, cb.params.encode()
	signed := cb.params.values()
	if cb.to.Method == http.MethodGet {
		method, signed = http.MethodGet, nil
		target.RawQuery = strings.TrimPrefix(target.RawQuery+"&"+body, "&")
		body = ""
	}
	request, err := http.NewRequestWithContext(ctx, method, target.String(), strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	h := request.Header
	w.sign(h, signedAddress(*target), signed)
	h.Set("I-Twilio-Idempotency-Token", cb.token)
	h.Set("User-Agent", "TwilioProxy/1.1")
	h.Set("Accept", "*/*")
	h.Set("X-Home-Region", "us1")
	if method == http.MethodPost {
		h.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	}
	return request, nil
}

// transport returns the given one, or one with the timeouts of o.
func (s *sender) transport(o overrides) http.RoundTripper {
	if s.given != nil {
		return s.given
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if existing, ok := s.transports[o]; ok {
		return existing
	}
	made := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: o.connect}).DialContext,
		TLSHandshakeTimeout:   o.connect,
		ResponseHeaderTimeout: o.read,
		MaxIdleConnsPerHost:   maxInFlight,
	}
	s.transports[o] = made
	return made
}

// failureOf classifies an error: connect failure, of TCP or of TLS, or any later one.
func failureOf(err error) string {
	var op *net.OpError
	var untrusted *tls.CertificateVerificationError
	var plain tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &op) && op.Op == "dial",
		errors.As(err, &untrusted), errors.As(err, &plain), errors.As(err, &alert):
		return "ct"
	}
	return "rt"
}

// overrides are the connection overrides in the fragment of a callback URL
// (Twilio, "Webhooks: Connection Overrides").
type overrides struct {
	connect time.Duration // ct, 0.1 to 10 s
	read    time.Duration // rt, 0.1 to 15 s
	total   time.Duration // tt, 0.1 to 15 s, all attempts together
	retries int           // rc, 0 to 5
	policy  string        // rp: of ct, rt, 4xx, 5xx, all; joined by commas
}

// parseOverrides parses the fragment; a value out of range counts as absent.
func parseOverrides(callbackURL string) overrides {
	o := overrides{connect: 5 * time.Second, read: 15 * time.Second, total: 15 * time.Second, retries: 1, policy: "ct"}
	_, fragment, _ := strings.Cut(callbackURL, "#")
	for pair := range strings.SplitSeq(fragment, "&") {
		name, value, _ := strings.Cut(pair, "=")
		switch name {
		case "ct":
			o.connect = milliseconds(value, 10_000, o.connect)
		case "rt":
			o.read = milliseconds(value, 15_000, o.read)
		case "tt":
			o.total = milliseconds(value, 15_000, o.total)
		case "rc":
			if n, err := strconv.Atoi(value); err == nil && n >= 0 && n <= 5 {
				o.retries = n
			}
		case "rp":
			o.policy = value
		}
	}
	return o
}

func milliseconds(value string, most int, otherwise time.Duration) time.Duration {
	n, err := strconv.Atoi(value)
	if err != nil || n < 100 || n > most {
		return otherwise
	}
	return time.Duration(n) * time.Millisecond
}

// retryAfter reports whether the policy requests another attempt after failure.
func (o overrides) retryAfter(failure string) bool {
	for asked := range strings.SplitSeq(o.policy, ",") {
		switch {
		case asked == "all", asked == failure:
			return true
		case strings.HasSuffix(asked, "xx") && len(failure) == 3 && failure[0] == asked[0]:
			return true
		}
	}
	return false
}

// pause waits for d and reports whether the time budget allows another attempt.
func pause(ctx, budget context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-budget.Done():
	}
	return false
}
