package twilio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"
)

const (
	// tryTime bounds one attempt. Twilio answers within tens of milliseconds
	// (Twilio-Request-Duration in recorded answers), and its own Go client gives up after 10 s.
	tryTime = 10 * time.Second
	// maxAnswer bounds an answer's body, in bytes: a page of 1,000 conferences
	// is about 1 MB, the answer to a write about 1 KB.
	maxAnswer = 1 << 20
	// maxIdleConns keeps connections for bursts: with the transport's default
	// of two, most calls of a burst would need a TLS handshake.
	maxIdleConns = 32
)

// The errors of a call without an answer.
var (
	// ErrNoCredentials is returned for an account that is not configured.
	ErrNoCredentials = errors.New("no credentials of this account")
	// ErrCrowded is returned if the account's other calls left no room in time.
	// The call was not sent.
	ErrCrowded = errors.New("too many calls to Twilio at once")
	// ErrUnreachable is returned if no connection was made. The call was not sent.
	ErrUnreachable = errors.New("no connection to Twilio")
	// ErrSilent is returned if a request was sent and no complete answer came
	// back: whether Twilio executed it is unknown.
	ErrSilent = errors.New("no answer from Twilio")
)

// Call is one request to Twilio's REST API.
type Call struct {
	// AccountSid is the account whose credentials are used, in either letter case.
	AccountSid string
	// Region is the region of the conference; empty for the home region.
	Region string
	// Kind names the call in metrics: one of few values.
	Kind   string
	Method string
	// Path is escaped and sent unchanged, from /2010-04-01/ on.
	Path string
	// Form is the body, form-encoded. An empty Form sends no body.
	Form string
	// JSON is a body of JSON instead of Form.
	JSON string
	// Before, if not nil, is called once the call has a slot and right before it is sent: its error
	// ends the call, which is then not sent. Such a call is sent only once, because a check before
	// the first attempt does not hold for a second one.
	Before func(context.Context) error
	// Sending, if not nil, is called right before each attempt to send the call.
	Sending func()
	// Spare marks a call that can wait for all others: it is sent only while the account's other calls
	// leave half of the slots free, and is not sent again after a 429.
	Spare bool
}

// Answer is Twilio's answer, whatever its status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// InForm reports whether the answer has a form of Twilio's API: JSON, or a 204 without a body, and no
// redirect. One that has not comes from something between Gavel and Twilio and proves nothing.
func (a Answer) InForm() bool {
	switch {
	case a.Status == http.StatusNoContent:
		return true
	case a.Status >= http.StatusMultipleChoices && a.Status < http.StatusBadRequest:
		return false
	}
	return json.Valid(a.Body)
}

// maxCode bounds Twilio's error codes, which have five digits.
const maxCode = 99999

// Code returns the error code in the body (Twilio, error dictionary); 0 if it has none.
func (a Answer) Code() int {
	var body struct {
		Code int `json:"code"`
	}
	if err := json.Unmarshal(a.Body, &body); err != nil || body.Code < 0 || body.Code > maxCode {
		return 0
	}
	return body.Code
}

// ClientConfig configures a client; all fields except Transport are required.
type ClientConfig struct {
	// Base is the address of Twilio's REST API: https://api.twilio.com.
	Base     string
	Accounts *Accounts
	Metrics  *ClientMetrics
	// Transport carries the requests; nil selects the client's own.
	Transport http.RoundTripper
}

// Client sends requests to Twilio's REST API and returns the answers, both unchanged. It contains
// nothing about single resources: which requests are allowed is for its caller to decide.
//
// The number of an account's calls in flight adapts to Twilio's answers
// (limiter.go). Its methods may be called from many goroutines.
type Client struct {
	base     string
	accounts *Accounts
	metrics  *ClientMetrics
	http     *http.Client
	limits   *limits
}

// NewClient returns a client.
func NewClient(c ClientConfig) *Client {
	client := &Client{
		base:     strings.TrimRight(c.Base, "/"),
		accounts: c.Accounts,
		metrics:  c.Metrics,
		http: &http.Client{
			Transport: c.Transport,
			// A redirect is returned like any other answer: following it would
			// send the credentials to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		limits: newLimits(c.Metrics),
	}
	if c.Transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.MaxIdleConnsPerHost = maxIdleConns
		client.http.Transport = own
	}
	return client
}

// CanCall reports whether the account has credentials, at least in its home region.
func (c *Client) CanCall(accountSid string) bool {
	account, ok := c.accounts.Lookup(accountSid)
	if ok {
		_, ok = account.access(c.base, "")
	}
	return ok
}

// Close closes the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call sends the call to Twilio and returns the answer. A 429 means that Twilio did nothing (error
// dictionary, 20429), so the call is sent again as long as ctx leaves time for the wait; after that
// the 429 is the answer. Nothing else is sent again.
//
// Errors wrap ErrNoCredentials, ErrCrowded, ErrUnreachable, ErrSilent or the
// error of Before, and contain neither a path nor a secret.
func (c *Client) Call(ctx context.Context, call Call) (Answer, error) {
	account, ok := c.accounts.Lookup(call.AccountSid)
	if !ok {
		return Answer{}, fmt.Errorf("call twilio: %w", ErrNoCredentials)
	}
	to, ok := account.access(c.base, call.Region)
	if !ok {
		return Answer{}, fmt.Errorf("call twilio: %w", ErrNoCredentials)
	}
	limit := c.limits.of(account.Sid + "@" + to.base)
	if err := limit.acquire(ctx, call.Spare); err != nil {
		c.metrics.count(call.Kind, unsent)
		return Answer{}, fmt.Errorf("call twilio: %w", ErrCrowded)
	}
	// The call keeps its slot while it waits to be sent again: Twilio's 429 limits concurrent
	// calls, and another call in the slot would be refused too.
	defer limit.release()
	if call.Before != nil {
		if err := call.Before(ctx); err != nil {
			c.metrics.count(call.Kind, unsent)
			return Answer{}, fmt.Errorf("call twilio: %w", err)
		}
	}
	delays := newDelays()
	for {
		began := time.Now()
		if call.Sending != nil {
			call.Sending()
		}
		answer, err := c.try(ctx, to, call)
		if err != nil || answer.Status != http.StatusTooManyRequests {
			limit.passed(err == nil)
			return answer, err
		}
		limit.refused(began)
		if call.Before != nil || call.Spare || !wait(ctx, delays.next(answer.Header)) {
			return answer, nil
		}
	}
}

// try makes one attempt.
func (c *Client) try(ctx context.Context, to access, call Call) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	connected := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected = true },
	})
	request, err := newRequest(ctx, to, call)
	if err != nil {
		return Answer{}, err
	}
	c.metrics.underWay.Inc()
	defer c.metrics.underWay.Dec()
	began := time.Now()
	answer, err := c.exchange(request)
	if err != nil {
		return Answer{}, c.unanswered(call.Kind, connected, err)
	}
	c.metrics.observe(call.Kind, answer.Status, time.Since(began))
	return answer, nil
}

func newRequest(ctx context.Context, to access, call Call) (*http.Request, error) {
	var body io.Reader
	if call.Form+call.JSON != "" {
		body = strings.NewReader(call.Form + call.JSON)
	}
	request, err := http.NewRequestWithContext(ctx, call.Method, to.base+call.Path, body)
	if err != nil {
		return nil, fmt.Errorf("call twilio: %w: the request cannot be made", ErrUnreachable)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if call.JSON != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "gavel")
	request.SetBasicAuth(to.user, to.password)
	return request, nil
}

var errTooLong = fmt.Errorf("answer is longer than %d bytes", maxAnswer)

func (c *Client) exchange(request *http.Request) (Answer, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return Answer{}, err
	}
	if len(body) > maxAnswer {
		return Answer{}, errTooLong
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Body: body}, nil
}

// unanswered returns the error of a request without an answer. The HTTP client's error contains the
// URL, whose path may hold a label; its cause does not.
func (c *Client) unanswered(kind string, connected bool, err error) error {
	if quoting := (*url.Error)(nil); errors.As(err, &quoting) {
		err = quoting.Err
	}
	if !connected {
		c.metrics.count(kind, unsent)
		return fmt.Errorf("call twilio: %w: %w", ErrUnreachable, err)
	}
	c.metrics.count(kind, silent)
	return fmt.Errorf("call twilio: %w: %w", ErrSilent, err)
}

// Time returns Twilio's clock, to the second, from the Date of an answer of the REST API at base.
// Only an answer over TLS proves it.
func Time(ctx context.Context, base string) (time.Time, error) {
	if !strings.HasPrefix(base, "https://") {
		return time.Time{}, fmt.Errorf("read the clock of Twilio: %w: no TLS", ErrUnreachable)
	}
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, base, nil)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the clock of Twilio: %w", err)
	}
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the clock of Twilio: %w", err)
	}
	_ = answer.Body.Close() // a HEAD has none
	at, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return time.Time{}, fmt.Errorf("read the clock of Twilio: %w", err)
	}
	return at, nil
}
