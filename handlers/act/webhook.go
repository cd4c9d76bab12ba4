package act

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"gavel/events"
	"gavel/rules"
)

const (
	// webhookTime bounds one call, from the look-up of the name to the end of
	// the answer. Receivers are asked by the specification to answer within 15
	// to 30 s (Standard Webhooks, "Operational considerations").
	webhookTime = 15 * time.Second
	// webhookDialTime bounds one connection of it: an address that drops what
	// is sent must not take the time of the next one.
	webhookDialTime = 3 * time.Second
	// maxWebhookAnswer is how much of an answer is read, in bytes, for the
	// connection's sake. Nobody looks at it.
	maxWebhookAnswer = 64 << 10
	// maxWebhookWait bounds what Retry-After may ask for: a notification's
	// whole time.
	maxWebhookWait = 24 * time.Hour
)

// Why a webhook failed for good, as the outcome tells it.
const (
	whyAddress = "address" // it is none that may be called
	whyGone    = "gone"    // 410: the receiver wants no more
)

// WebhookConfig is what webhooks need; all but Resolver must be given.
type WebhookConfig struct {
	Settings WebhookSettings
	// Now is our clock.
	Now func() time.Time
	// Resolver looks names up; nil is the system's.
	Resolver *net.Resolver
}

// Webhooks performs `webhook` steps: signed as Standard Webhooks says, and never
// to an address inside the own network that the settings do not name.
type Webhooks struct {
	signers          []*standardwebhooks.Webhook
	gate             *gate
	guarded, trusted *http.Client
	now              func() time.Time
}

// NewWebhooks returns them. The error joins all that is wrong with the settings.
func NewWebhooks(c WebhookConfig) (*Webhooks, error) {
	if err := c.Settings.Check(); err != nil {
		return nil, fmt.Errorf("make webhooks: %w", err)
	}
	g := newGate(c.Settings)
	w := &Webhooks{gate: g, now: c.Now}
	w.guarded = newWebhookClient(&net.Dialer{Timeout: webhookDialTime, Resolver: c.Resolver, Control: g.addresses.Safe})
	w.trusted = newWebhookClient(&net.Dialer{Timeout: webhookDialTime, Resolver: c.Resolver})
	for _, secret := range c.Settings.Secrets {
		signer, err := newSigner(secret)
		if err != nil {
			return nil, fmt.Errorf("make webhooks: %w", err)
		}
		w.signers = append(w.signers, signer)
	}
	return w, nil
}

// newWebhookClient goes through no proxy: the address that is dialled has to be
// the receiver's for anything to be known about it.
func newWebhookClient(dialer *net.Dialer) *http.Client {
	return &http.Client{
		Timeout: webhookTime,
		Transport: &http.Transport{
			Proxy:                  nil,
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        90 * time.Second,
			TLSHandshakeTimeout:    webhookDialTime,
			MaxResponseHeaderBytes: maxWebhookAnswer,
		},
		// Where a redirect leads nobody has written down; it is an answer.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close ends the connections that nobody uses.
func (w *Webhooks) Close() {
	w.guarded.CloseIdleConnections()
	w.trusted.CloseIdleConnections()
}

// Tell calls a decision's webhook. An outcome is final: done on a 2xx, failed
// where the address may not be called or the receiver refuses. An error is a
// *NotNow; the next try has the same webhook-id.
func (w *Webhooks) Tell(ctx context.Context, d rules.Decision) (events.Outcome, error) {
	to, err := w.gate.check(d.Params["url"])
	if err != nil {
		return w.failed(0, whyAddress), nil
	}
	request, err := w.request(ctx, to, d)
	if err != nil {
		return events.Outcome{}, notHeard(err)
	}
	client := w.guarded
	if w.gate.trusts(to) {
		client = w.trusted
	}
	answer, err := client.Do(request)
	switch {
	case isProhibited(err):
		return w.failed(0, whyAddress), nil
	case err != nil:
		return events.Outcome{}, notHeard(withoutURL(err))
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxWebhookAnswer)
	return w.judge(answer)
}

// request is one try: a time of its own and a signature over it, by every
// secret, so that the receiver may know any of them.
func (w *Webhooks) request(ctx context.Context, to *url.URL, d rules.Decision) (*http.Request, error) {
	now := w.now()
	body, err := newMessage(d, now)
	if err != nil {
		return nil, err
	}
	signatures, err := w.sign(d, now, body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("its address is no URL")
	}
	request.Header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	request.Header.Set("User-Agent", "Gavel")
	request.Header.Set(standardwebhooks.HeaderWebhookID, d.ID)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signatures)
	return request, nil
}

func (w *Webhooks) sign(d rules.Decision, now time.Time, body []byte) (string, error) {
	signers := w.signers
	if path := d.Params[secretFile]; path != "" {
		own, err := readSigner(path)
		if err != nil {
			return "", err
		}
		signers = []*standardwebhooks.Webhook{own}
	}
	if len(signers) == 0 {
		return "", errNoSecret
	}
	signatures := make([]string, len(signers))
	for i, s := range signers {
		var err error
		if signatures[i], err = s.Sign(d.ID, now, body); err != nil {
			return "", fmt.Errorf("sign: %w", err)
		}
	}
	return strings.Join(signatures, " "), nil
}

// judge says what an answer means (Standard Webhooks, "Operational
// considerations"; 408 and 425 ask to be tried again by their own definition).
func (w *Webhooks) judge(answer *http.Response) (events.Outcome, error) {
	switch status := answer.StatusCode; {
	case status/100 == 2:
		return events.Outcome{Result: events.Done, Status: status, At: w.now()}, nil
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests, status >= 500:
		return events.Outcome{}, &NotNow{
			After: askedWait(answer.Header.Get("Retry-After"), w.now()),
			Err:   fmt.Errorf("call webhook: it answered %d", status),
		}
	case status == http.StatusGone:
		return w.failed(status, whyGone), nil
	default: // a refusal, or a redirect that nobody follows
		return w.failed(status, ""), nil
	}
}

func (w *Webhooks) failed(status int, why string) events.Outcome {
	return events.Outcome{Result: events.Failed, Status: status, Why: why, At: w.now()}
}

// askedWait reads Retry-After, seconds or a date (RFC 9110, 10.2.3); anything
// else is no wait.
func askedWait(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxWebhookWait)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxWebhookWait)
}

func notHeard(err error) error { return &NotNow{Err: fmt.Errorf("call webhook: %w", err)} }

// withoutURL takes the address out of an error: its path may hold what a rule
// put there, names and numbers of people.
func withoutURL(err error) error {
	var about *url.Error
	if errors.As(err, &about) {
		return about.Err
	}
	return err
}
