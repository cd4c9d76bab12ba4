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

	"gavel/events"
)

const (
	// tryTime bounds one try. Twilio answers within tens of milliseconds
	// (Twilio-Request-Duration in recorded answers), and its own Go client
	// gives up after 10 s.
	tryTime = 10 * time.Second
	// maxAnswer bounds an answer's body, in bytes: a page of 1,000 conferences
	// is about 1 MB, and that of a write about 1 KB.
	maxAnswer = 1 << 20
	// maxIdleConns keeps connections for bursts: the transport's own two would
	// make every other call of a burst pay for a TLS handshake.
	maxIdleConns = 32
)

// The ways in which a call stays without an answer.
var (
	// ErrNoCredentials is returned for an account that is not configured.
	ErrNoCredentials = errors.New("no credentials of this account")
	// ErrCrowded is returned when the account's other calls left no room in
	// time. Twilio was not asked.
	ErrCrowded = errors.New("too many calls to Twilio at once")
	// ErrUnreachable is returned when no connection came about. Twilio was not
	// asked.
	ErrUnreachable = errors.New("no connection to Twilio")
	// ErrSilent is returned when a request went out and no whole answer came
	// back: nobody knows whether Twilio did what it was asked.
	ErrSilent = errors.New("no answer from Twilio")
)

// Call is one request to Twilio's REST API.
type Call struct {
	// AccountSid is the account whose credentials are used, in either letter
	// case.
	AccountSid string
	// Kind names the call in metrics: one of few words.
	Kind   string
	Method string
	// Path is escaped and goes out as it is, from /2010-04-01/ on.
	Path string
	// Form is the body, as a form. Without one there is no body.
	Form string
	// Before, where there is one, is asked once the call has its place and
	// right before it goes out: its error ends the call, and Twilio is not
	// asked. Such a call is made once: whoever looks before leaping has to look
	// again before a second try.
	Before func(context.Context) error
}

// Answer is what Twilio said, whatever its status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// maxCode bounds Twilio's error codes, which have five digits.
const maxCode = 99999

// Code returns the error code in the body (Twilio, error dictionary); 0 where
// there is none.
func (a Answer) Code() int {
	var said struct {
		Code int `json:"code"`
	}
	if err := json.Unmarshal(a.Body, &said); err != nil || said.Code < 0 || said.Code > maxCode {
		return 0
	}
	return said.Code
}

// ClientConfig is what a client needs; all of it but Transport.
type ClientConfig struct {
	// Base is where Twilio's REST API is: https://api.twilio.com.
	Base     string
	Accounts *Accounts
	Metrics  *ClientMetrics
	// Transport carries the requests; nil is one of the client's own.
	Transport http.RoundTripper
}

// Client hands requests to Twilio's REST API and answers back, both as they
// are. It knows no resource: what may be asked is its caller's business.
//
// How many calls of an account are under way at a time follows from how Twilio
// answers (limiter.go). Its methods may be called from many goroutines.
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
			// A redirect is an answer like any other: following it would send
			// the credentials to whoever it names.
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

// CanCall reports whether there are credentials of the account.
func (c *Client) CanCall(accountSid string) bool {
	_, ok := c.accounts.Lookup(accountSid)
	return ok
}

// Close ends the connections that nobody uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call asks Twilio and returns its answer. A 429 says that Twilio did nothing
// (error dictionary, 20429), so the call is made again as long as ctx leaves
// time for the wait; after that the 429 is the answer. Nothing else is made
// again.
//
// Errors wrap ErrNoCredentials, ErrCrowded, ErrUnreachable, ErrSilent or what
// Before said, and hold neither a path nor a secret.
func (c *Client) Call(ctx context.Context, call Call) (Answer, error) {
	account, ok := c.accounts.Lookup(call.AccountSid)
	if !ok {
		return Answer{}, fmt.Errorf("call twilio: %w", ErrNoCredentials)
	}
	limit := c.limits.of(account.Sid)
	if err := limit.acquire(ctx); err != nil {
		c.metrics.count(call.Kind, unsent)
		return Answer{}, fmt.Errorf("call twilio: %w", ErrCrowded)
	}
	// The place is kept while the call waits to be made again: Twilio's 429 is
	// about calls at once, and others would only take its place.
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
		answer, err := c.try(ctx, account, call)
		if err != nil || answer.Status != http.StatusTooManyRequests {
			limit.passed(err == nil)
			return answer, err
		}
		limit.refused(began)
		if call.Before != nil || !wait(ctx, delays.next(answer.Header)) {
			return answer, nil
		}
	}
}

// try makes one request.
func (c *Client) try(ctx context.Context, account *Account, call Call) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	connected := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected = true },
	})
	request, err := c.request(ctx, account, call)
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

func (c *Client) request(ctx context.Context, account *Account, call Call) (*http.Request, error) {
	var body io.Reader
	if call.Form != "" {
		body = strings.NewReader(call.Form)
	}
	request, err := http.NewRequestWithContext(ctx, call.Method, c.base+call.Path, body)
	if err != nil {
		return nil, fmt.Errorf("call twilio: %w: the request cannot be made", ErrUnreachable)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "gavel")
	request.SetBasicAuth(account.credentials())
	return request, nil
}

// credentials are those for Twilio's REST API: the API key where there is one,
// for it can be revoked by itself; else the current auth token.
func (a *Account) credentials() (user, password string) {
	if a.APIKey != (APIKey{}) {
		return events.CanonicalSid(a.APIKey.Sid), a.APIKey.Secret.Reveal()
	}
	return a.Sid, a.Tokens.Current.Reveal()
}

var errTooLong = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)

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

// unanswered decides what is known of a request that brought no answer. The
// client's own error quotes the URL, whose path may hold a label; its cause
// does not.
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
