package announce

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"gavel/events"
	"gavel/internal/brakes"
	"gavel/internal/crashpoint"
	"gavel/internal/twilio"
	"gavel/rules"
)

// Path is the prefix of the paths that the handler answers, relative to the public URL.
const Path = twilio.AnnouncePath

const (
	// answerTime bounds the reads before the TwiML: Twilio waits 15 s in all
	// (Docs: "Webhooks connection overrides").
	answerTime = 8 * time.Second
	// maxForm bounds a request's body, in bytes; Twilio's parameters of a call are about 1 KiB.
	maxForm = 64 << 10
	// retryAfter is the Retry-After of a 503, in seconds.
	retryAfter = "1"
	// methods are those that Twilio or a person may use.
	methods = "GET, HEAD, POST"
)

// Decisions stores decisions, and which announcements were served.
type Decisions interface {
	// Get returns a decision.
	Get(ctx context.Context, key events.Key, id string) (events.Decided, error)
	// Served durably records that an announcement was fetched. first is true if
	// this call recorded it first.
	Served(ctx context.Context, key events.Key, id string) (first bool, err error)
}

// Brakes reports whether all rules are stopped. After an error that is unknown.
type Brakes interface {
	Stopped(ctx context.Context) (bool, brakes.Stop, error)
}

// Config is what the handler needs; every field is required.
type Config struct {
	// PublicURL is where Twilio reaches Gavel, "https://host[:port][/prefix]".
	// A proxy must remove the prefix.
	PublicURL string
	Accounts  *twilio.Accounts
	Decisions Decisions
	Brakes    Brakes
	Log       *slog.Logger
	Metrics   *Metrics
	// Now returns our clock.
	Now func() time.Time
}

// Handler answers Twilio's requests for announcements.
type Handler struct{ cfg Config }

// New returns the handler.
func New(cfg Config) (*Handler, error) {
	if _, err := twilio.NewURLs(cfg.PublicURL, Path); err != nil {
		return nil, fmt.Errorf("create the announcement handler: %w", err)
	}
	return &Handler{cfg}, nil
}

// request is a request in progress.
type request struct {
	*http.Request
	key  events.Key
	id   string
	late bool // the address has expired
	rule string
	text string // TwiML
}

// refusal stops the steps of a request.
type refusal struct {
	result result
	status int
	err    error // for the log, if an operator has to act
}

func (r *refusal) Error() string { return string(r.result) }

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	q := &request{Request: r}
	for _, step := range []func(context.Context, *request) error{
		h.checkAddress, h.checkSignature, h.checkTime, h.readDecision, h.checkStop, h.recordServed,
	} {
		if err := step(ctx, q); err != nil {
			h.refuse(w, q, err)
			return
		}
	}
	h.play(w, q)
}

// checkAddress accepts URLs that Gavel made. The answer does not reveal why it refused one.
func (h *Handler) checkAddress(_ context.Context, q *request) error {
	if !slices.Contains(strings.Split(methods, ", "), q.Method) {
		return &refusal{result: wrongMethod, status: http.StatusMethodNotAllowed}
	}
	if q.URL.RawPath != "" { // another spelling of the path
		return &refusal{result: notFound, status: http.StatusNotFound}
	}
	var err error
	q.key, q.id, err = h.cfg.Accounts.CheckAnnounce(q.URL.Path, q.URL.Query(), h.cfg.Now())
	switch {
	case errors.Is(err, twilio.ErrNoAnnouncement):
		return &refusal{result: notFound, status: http.StatusNotFound}
	case errors.Is(err, twilio.ErrForged):
		return &refusal{result: forged, status: http.StatusForbidden}
	}
	q.late = errors.Is(err, twilio.ErrExpired)
	return nil
}

// checkSignature refuses a signature that is not Twilio's.
func (h *Handler) checkSignature(_ context.Context, q *request) error {
	header := q.Header[twilio.SignatureHeader]
	if len(header) == 0 {
		return nil
	}
	wrong := &refusal{result: unsigned, status: http.StatusForbidden}
	sig, ok := twilio.ParseSignature(header[0])
	if !ok || len(header) > 1 {
		return wrong
	}
	params, err := readForm(q.Request)
	if err != nil {
		return err
	}
	account, known := h.cfg.Accounts.Lookup(q.key.AccountSid)
	urls, err := twilio.NewURLs(h.cfg.PublicURL, q.URL.Path)
	if !known || err != nil {
		return wrong
	}
	if _, ok := account.Verify(sig, urls, q.URL.RawQuery, params); !ok {
		return wrong
	}
	return nil
}

// readForm reads the parameters that the signature covers besides the URL:
// those of a POST. Nothing else uses them.
func readForm(r *http.Request) (events.Params, error) {
	if r.Method != http.MethodPost {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if len(body) > maxForm {
		return nil, &refusal{result: tooLarge, status: http.StatusRequestEntityTooLarge}
	}
	var params events.Params
	if err == nil {
		params, err = events.ParseForm(string(body), events.MaxParams)
	}
	if err != nil {
		return nil, &refusal{result: unsigned, status: http.StatusForbidden}
	}
	return params, nil
}

// checkTime plays nothing after the URL has expired.
func (h *Handler) checkTime(_ context.Context, q *request) error {
	switch {
	case q.late:
		return &refusal{result: expired, status: http.StatusOK}
	case q.Method == http.MethodHead:
		return &refusal{result: checked, status: http.StatusOK}
	}
	return nil
}

// readDecision reads what to play.
func (h *Handler) readDecision(ctx context.Context, q *request) error {
	decided, err := h.cfg.Decisions.Get(ctx, q.key, q.id)
	if err != nil {
		return unavailableBecause(fmt.Errorf("read decision: %w", err))
	}
	d, err := rules.ReadDecision(decided.Data)
	if err != nil {
		return unavailableBecause(err)
	}
	if d.Do != rules.StepAnnounce || d.Verdict != rules.Act {
		return &refusal{result: notFound, status: http.StatusNotFound}
	}
	q.rule = d.Rule
	if q.text, err = twiml(d); err != nil {
		return unavailableBecause(err)
	}
	return nil
}

// checkStop is the last check before something is played. If the stop cannot be
// read, the answer is 503 and Twilio may retry.
func (h *Handler) checkStop(ctx context.Context, _ *request) error {
	stop, _, err := h.cfg.Brakes.Stopped(ctx)
	switch {
	case err != nil:
		return unavailableBecause(fmt.Errorf("read the stop: %w", err))
	case stop:
		return &refusal{result: stopped, status: http.StatusOK}
	}
	return nil
}

// recordServed accepts the first request only. After an error it is unknown
// whether the request was recorded, but nothing was played.
func (h *Handler) recordServed(ctx context.Context, q *request) error {
	first, err := h.cfg.Decisions.Served(ctx, q.key, q.id)
	switch {
	case err != nil:
		return unavailableBecause(fmt.Errorf("record that it was served: %w", err))
	case !first:
		return &refusal{result: repeated, status: http.StatusOK}
	}
	crashpoint.Pass(crashpoint.Serving)
	return nil
}

func unavailableBecause(err error) error {
	return &refusal{result: unavailable, status: http.StatusServiceUnavailable, err: err}
}

// play sends the announcement.
func (h *Handler) play(w http.ResponseWriter, q *request) {
	write(w, q.text)
	// What was sent counts as played, even if the connection fails from here on.
	_ = http.NewResponseController(w).Flush()
	crashpoint.Pass(crashpoint.Served)
	h.cfg.Metrics.count(served)
	h.cfg.Log.Info("announcement served", "rule", q.rule, "decision", q.id,
		"account_sid", q.key.AccountSid, "conference_sid", q.key.ConferenceSid)
}

// refuse writes every answer except an announcement. Only Twilio reads it.
func (h *Handler) refuse(w http.ResponseWriter, q *request, err error) {
	why := &refusal{result: unavailable, status: http.StatusServiceUnavailable, err: err}
	errors.As(err, &why)
	h.cfg.Metrics.count(why.result)
	switch why.status {
	case http.StatusOK:
		write(w, nothing)
		return
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", methods)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", retryAfter)
		h.cfg.Log.Warn("announcement not served", "decision", q.id,
			"account_sid", q.key.AccountSid, "conference_sid", q.key.ConferenceSid, "error", why.err)
	}
	w.WriteHeader(why.status)
}

// write sends TwiML that no cache may store.
func write(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, text)
}
