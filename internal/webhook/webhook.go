// Package webhook calls webhooks: signed as Standard Webhooks says, and never at an address inside
// the operator's own network that the settings do not name. It makes one call and returns what the
// receiver answered; its users decide when to try again and what becomes of a refusal.
//
// Reading order: webhook.go (one call), settings.go (what an operator sets, and
// the secrets), gate.go (which addresses may be called).
package webhook

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

	"gavel/internal/twilio"
)

const (
	// callTime bounds one call, from the look-up of the name to the end of the
	// answer. Receivers are asked by the specification to answer within 15 to 30 s
	// (Standard Webhooks, "Operational considerations").
	callTime = 15 * time.Second
	// dialTime bounds one connection of it: an address that drops what is sent
	// must not use up the time of the next one.
	dialTime = 3 * time.Second
	// maxAnswer is how much of an answer is read, in bytes, so that the connection
	// can be used again. The content is ignored.
	maxAnswer = 64 << 10
)

// Client calls webhooks. It is safe for many goroutines.
type Client struct {
	signers          []*standardwebhooks.Webhook
	gate             *gate
	guarded, trusted *http.Client
	now              func() time.Time
}

// New returns a client. now is our clock; a nil resolver is the system's. The
// error joins all that is wrong with the settings.
func New(s Settings, now func() time.Time, resolver *net.Resolver) (*Client, error) {
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("make webhooks: %w", err)
	}
	w := &Client{gate: newGate(s), now: now}
	w.guarded = newHTTPClient(&net.Dialer{Timeout: dialTime, Resolver: resolver, Control: w.gate.addresses.Safe})
	w.trusted = newHTTPClient(&net.Dialer{Timeout: dialTime, Resolver: resolver})
	for _, secret := range s.Secrets {
		signer, err := newSigner(secret)
		if err != nil {
			return nil, fmt.Errorf("make webhooks: %w", err)
		}
		w.signers = append(w.signers, signer)
	}
	return w, nil
}

// newHTTPClient uses no proxy: the gate can only judge the receiver's address if
// that is the address that is dialled.
func newHTTPClient(dialer *net.Dialer) *http.Client {
	return &http.Client{
		Timeout: callTime,
		Transport: &http.Transport{
			Proxy:                  nil,
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        90 * time.Second,
			TLSHandshakeTimeout:    dialTime,
			MaxResponseHeaderBytes: maxAnswer,
		},
		// The operator wrote down the first address and not where it redirects, so
		// a redirect is an answer like any other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close closes the idle connections.
func (c *Client) Close() {
	c.guarded.CloseIdleConnections()
	c.trusted.CloseIdleConnections()
}

// Request is one call.
type Request struct {
	URL string
	// ID is the header webhook-id, the same for every try of one message.
	ID          string
	ContentType string
	Body        []byte
	// SecretFile is a file with a secret that signs instead of those of the
	// settings; empty for those.
	SecretFile string
}

// Answer is what the receiver answered.
type Answer struct {
	Status int
	// RetryAfter is how long it asks to wait, at most a day; 0 where it does not.
	RetryAfter time.Duration
}

// Temporary reports whether the receiver asks for another try (Standard
// Webhooks, "Operational considerations"; 408 and 425 by their own definition).
func (a Answer) Temporary() bool {
	switch a.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return a.Status >= http.StatusInternalServerError
}

// ErrAddress is returned for an address that must not be called: it is no URL, or
// it is inside the operator's own network. Another try has the same end.
var ErrAddress = errors.New("the address must not be called")

// Call makes one call, with a signature over the present time by every secret, so
// that the receiver may know any of them. The error wraps ErrAddress, or the
// receiver could not be reached; it holds neither the address nor a secret.
func (c *Client) Call(ctx context.Context, r Request) (Answer, error) {
	to, err := c.gate.check(r.URL)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: it %w", ErrAddress, err)
	}
	request, err := c.request(ctx, to, r)
	if err != nil {
		return Answer{}, err
	}
	client := c.guarded
	if c.gate.trusts(to) {
		client = c.trusted
	}
	answer, err := client.Do(request)
	switch {
	case isProhibited(err):
		return Answer{}, ErrAddress
	case err != nil:
		return Answer{}, withoutURL(err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer)
	return Answer{answer.StatusCode, twilio.ParseRetryAfter(answer.Header.Get("Retry-After"), c.now())}, nil
}

func (c *Client) request(ctx context.Context, to *url.URL, r Request) (*http.Request, error) {
	now := c.now()
	signatures, err := c.sign(r, now)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(r.Body))
	if err != nil {
		return nil, errors.New("its address is no URL")
	}
	request.Header.Set("Content-Type", r.ContentType)
	request.Header.Set("User-Agent", "Gavel")
	request.Header.Set(standardwebhooks.HeaderWebhookID, r.ID)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signatures)
	return request, nil
}

func (c *Client) sign(r Request, now time.Time) (string, error) {
	signers := c.signers
	if r.SecretFile != "" {
		own, err := readSigner(r.SecretFile)
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
		if signatures[i], err = s.Sign(r.ID, now, r.Body); err != nil {
			return "", fmt.Errorf("sign: %w", err)
		}
	}
	return strings.Join(signatures, " "), nil
}

// withoutURL removes the address from an error: its path may hold what a rule put
// there, names and numbers of people.
func withoutURL(err error) error {
	var about *url.Error
	if errors.As(err, &about) {
		return about.Err
	}
	return err
}
