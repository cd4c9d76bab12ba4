package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"gavel/cmd/gavel/render"
	"gavel/events"
	"gavel/handlers/callback"
	"gavel/internal/twilio"
)

// sendCommand signs and sends callbacks.
type sendCommand struct {
	To        string `default:"http://127.0.0.1:8080" placeholder:"URL" help:"Where to send (default: where these settings make it listen, ${default}); a URL without a path gets that of the callback."`
	PublicURL string `env:"GAVEL_PUBLIC_URL" placeholder:"URL" help:"Sign for this base URL instead of the one in --to."`
	Account   string `placeholder:"SID" help:"The account to sign for, if the settings name several."`

	Event      string   `default:"participant-join" placeholder:"EVENT" help:"StatusCallbackEvent, or recording-completed and the like (default ${default})."`
	Name       string   `default:"room" placeholder:"NAME" help:"FriendlyName of the conference (default ${default})."`
	Conference string   `placeholder:"SID" help:"ConferenceSid (default: made from account and name)."`
	Call       string   `placeholder:"SID" help:"CallSid of the participant (default: made from conference and label)."`
	Label      string   `placeholder:"LABEL" help:"ParticipantLabel."`
	Seq        int64    `default:"0" help:"SequenceNumber (default ${default})."`
	Param      []string `sep:"none" placeholder:"NAME=VALUE" help:"Adds or replaces a parameter; NAME= leaves it empty."`

	File        string  `placeholder:"FILE" help:"Send each line of a file (- is standard input): a JSON object of parameters, or a form."`
	Concurrency int     `default:"1" help:"Concurrent requests, with --file (default ${default}: in order)."`
	Rate        float64 `default:"0" placeholder:"N" help:"At most this many requests a second (default no limit)."`
	Quiet       bool    `help:"Print only failures and the totals."`
	outputFlag
}

// Run sends one callback or a file of them.
func (c *sendCommand) Run(ctx context.Context, root *cli, t *terminal) error {
	s, err := c.sender(root, t)
	if err != nil {
		return err
	}
	if c.File == "" {
		params, err := c.params(s.account.Sid)
		if err != nil {
			return usageError{err}
		}
		return s.sendAll(ctx, func(yield func(int, events.Params) bool) { yield(1, params) })
	}
	file, err := c.open(t)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := &callbackLines{from: file, account: s.account.Sid}
	return errors.Join(s.sendAll(ctx, lines.all), lines.err)
}

func (c *sendCommand) open(t *terminal) (io.ReadCloser, error) {
	if c.File == "-" {
		return io.NopCloser(t.in), nil
	}
	file, err := os.Open(c.File)
	if err != nil {
		return nil, usageError{fmt.Errorf("--file: %w", err)}
	}
	return file, nil
}

func (c *sendCommand) sender(root *cli, t *terminal) (*callbackSender, error) {
	var faults []error
	for flag, address := range map[string]string{"--to": c.To, "--public-url": cmp.Or(c.PublicURL, c.To)} {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" {
			faults = append(faults, fmt.Errorf("%s: is not a URL", flag))
		}
	}
	if c.Concurrency < 1 || c.Concurrency > maxConcurrency {
		faults = append(faults, fmt.Errorf("--concurrency: %d is not 1 to %d", c.Concurrency, maxConcurrency))
	}
	if c.Rate < 0 {
		faults = append(faults, errors.New("--rate: is negative"))
	}
	account, err := c.account(root, t)
	if err := errors.Join(append(faults, err)...); err != nil {
		return nil, usageError{err}
	}
	limit := rate.Inf
	if c.Rate > 0 {
		limit = rate.Limit(c.Rate)
	}
	return &callbackSender{
		sendCommand: c,
		account:     account,
		pace:        rate.NewLimiter(limit, 1),
		http: &http.Client{
			Transport: &http.Transport{MaxIdleConnsPerHost: c.Concurrency},
			Timeout:   sendTimeout,
			// Twilio does not follow a redirect with its parameters.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		out:      t.out,
		err:      t.err,
		terminal: render.IsTerminal(t.err),
	}, nil
}

const (
	// sendTimeout is how long Twilio waits for an answer.
	sendTimeout = 15 * time.Second
	// maxConcurrency keeps the sockets below a usual limit of open files.
	maxConcurrency = 512
)

// account returns the account to sign for: the one that is named, or the only one there is.
func (c *sendCommand) account(root *cli, t *terminal) (twilio.Account, error) {
	s := &secrets{lookup: t.lookup, file: root.file}
	all := accounts(root.file, s)
	if err := errors.Join(s.faults...); err != nil {
		return twilio.Account{}, err
	}
	if c.Account == "" && len(all) == 1 {
		return all[0], nil
	}
	for _, a := range all {
		if strings.EqualFold(a.Sid, c.Account) {
			return a, nil
		}
	}
	switch {
	case len(all) == 0:
		return twilio.Account{}, errors.New("no account to sign with; set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or name accounts in gavel.yaml")
	case c.Account == "":
		return twilio.Account{}, errors.New("--account: the settings name several accounts; say which")
	}
	return twilio.Account{}, errors.New("--account: the settings do not name that account")
}

// callbackSender sends and reports.
type callbackSender struct {
	*sendCommand
	account  twilio.Account
	pace     *rate.Limiter
	http     *http.Client
	out, err io.Writer
	terminal bool

	mu           sync.Mutex
	sent, failed int
	forbidden    bool // an answer was 403
	progressAt   time.Time
}

// sendAll sends all callbacks, by their line numbers. It fails if an answer was not 2xx.
func (s *callbackSender) sendAll(ctx context.Context, all iter.Seq2[int, events.Params]) error {
	slots := make(chan struct{}, s.Concurrency)
	var under sync.WaitGroup
	for line, params := range all {
		if s.pace.Wait(ctx) != nil {
			break
		}
		slots <- struct{}{}
		under.Go(func() {
			defer func() { <-slots }()
			status, err := s.send(ctx, params)
			s.report(line, params, status, err)
		})
	}
	under.Wait()
	return s.sum(ctx)
}

// send makes one request, signed as the account's callbacks are.
func (s *callbackSender) send(ctx context.Context, params events.Params) (status int, err error) {
	to := target(s.To, params)
	signed := to
	if s.PublicURL != "" {
		signed = moved(to, s.PublicURL)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(params.Encode()))
	if err != nil {
		return 0, fmt.Errorf("send to %s: %w", to, err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("X-Twilio-Signature", s.account.Sign(signed, params))
	response, err := s.http.Do(request)
	if err != nil {
		return 0, fmt.Errorf("send to %s: %w", to, withoutURL(err))
	}
	defer response.Body.Close()
	// The body is read so that the connection can be reused; an error of the read
	// does not change the answer.
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxProblem))
	return response.StatusCode, nil
}

// target returns the URL as given, or with the path of the callback's kind if it has no path.
func target(to string, params events.Params) string {
	u, err := url.Parse(to)
	if err != nil || u.Path != "" && u.Path != "/" {
		return to
	}
	u.Path = callback.ConferencePath
	if isRecording(params) {
		u.Path = callback.RecordingPath
	}
	return u.String()
}

func isRecording(params events.Params) bool {
	_, recording := params.Lookup("RecordingSid")
	_, status := params.Lookup("StatusCallbackEvent")
	return recording && !status
}

// moved appends path and query of address to another base.
func moved(address, base string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return strings.TrimRight(base, "/") + u.RequestURI()
}

// result is the line that --output json prints for one callback.
type result struct {
	Line           int    `json:"line"`
	Status         int    `json:"status"`
	Event          string `json:"event"`
	ConferenceSid  string `json:"conference_sid"`
	SequenceNumber string `json:"sequence_number,omitempty"`
	Error          string `json:"error,omitempty"`
}

func (s *callbackSender) report(line int, params events.Params, status int, err error) {
	r := result{
		Line:           line,
		Status:         status,
		Event:          eventOf(params),
		ConferenceSid:  params.Get("ConferenceSid"),
		SequenceNumber: params.Get("SequenceNumber"),
	}
	if err != nil {
		r.Error = err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	accepted := status >= 200 && status < 300
	if !accepted {
		s.failed++
		s.forbidden = s.forbidden || status == http.StatusForbidden
	}
	if !accepted || !s.Quiet {
		s.print(r)
	}
	s.progress()
}

func (s *callbackSender) print(r result) {
	if s.json() {
		// A closed pipe does not stop the sending.
		_ = json.NewEncoder(s.out).Encode(r)
		return
	}
	text := either(r.Error != "", r.Error, http.StatusText(r.Status))
	fmt.Fprintf(s.out, "%d\t%d %s\t%s %s %s\n", r.Line, r.Status, text, r.Event, r.ConferenceSid, r.SequenceNumber)
}

// progressEvery is how often progress is printed.
const progressEvery = time.Second

func (s *callbackSender) progress() {
	if !s.terminal || !s.Quiet || time.Since(s.progressAt) < progressEvery {
		return
	}
	s.progressAt = time.Now()
	fmt.Fprintf(s.err, "\rsent %d, failed %d", s.sent, s.failed)
}

func (s *callbackSender) sum(ctx context.Context) error {
	if s.File != "" && !s.json() {
		fmt.Fprintf(s.err, "%ssent %d, failed %d\n", either(s.terminal, "\r", ""), s.sent, s.failed)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("send: stopped after %d callbacks", s.sent)
	}
	if s.failed == 0 {
		return nil
	}
	err := fmt.Errorf("send: %d of %d callbacks were not answered 2xx", s.failed, s.sent)
	if s.forbidden {
		err = fmt.Errorf("%w; 403 means a wrong signature (check the token and --public-url) or a malformed parameter: see Gavel's log", err)
	}
	return err
}

func eventOf(params events.Params) string {
	if isRecording(params) {
		return "recording-" + params.Get("RecordingStatus")
	}
	return cmp.Or(params.Get("StatusCallbackEvent"), params.Get("EventName"))
}
