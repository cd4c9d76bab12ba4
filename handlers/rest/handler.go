package rest

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"gavel/events"
	"gavel/internal/keys"
	"gavel/internal/twilio"
	"gavel/projections"
)

// Prefix is the path where the handler is mounted, in any router that keeps the
// escaped path unchanged.
const Prefix = "/" + projections.APIVersion + "/"

// maxReads bounds the reads answered at a time. Twilio limits concurrency too,
// and its clients handle the answer: 429, safe to retry. The number keeps the
// largest lists (1,000 items, about 1 MB) below 256 MB.
const maxReads = 256

// readTime bounds a read with all its steps. A client's own time-out is seldom below 5 s.
const readTime = 4 * time.Second

// Authenticator identifies the caller of a request.
type Authenticator interface {
	Authenticate(ctx context.Context, user, password string) (keys.Identity, bool)
}

// Journal records the requests to Twilio and their outcomes. Append returns
// once the entry is stored durably; if ctx ends first, that is unknown.
type Journal interface {
	Append(ctx context.Context, conferenceSid string, e events.Entry) error
}

// Caller calls Twilio, with the credentials of an account.
type Caller interface {
	CanCall(accountSid string) bool
	Call(ctx context.Context, call twilio.Call) (twilio.Answer, error)
}

// Config is what the handler needs; every field is required.
type Config struct {
	Reader projections.Reader
	// ListDefault is the status of the conferences in a list whose query names none; empty means all.
	ListDefault string
	Auth        Authenticator
	Journal     Journal
	Twilio      Caller
	Now         func() time.Time
	Log         *slog.Logger
	Metrics     *Metrics
}

// Handler answers everything under Prefix.
type Handler struct {
	Config
	origin *http.CrossOriginProtection
	reads  slots
	writes slots
	order  order
}

// New returns the handler.
func New(c Config) *Handler {
	return &Handler{Config: c, origin: http.NewCrossOriginProtection(), reads: make(slots, maxReads), writes: make(slots, maxWrites)}
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	t, known := parseTarget(r.URL.EscapedPath())
	a, err := h.answer(w, r, t, known)
	if err != nil {
		a = h.faultOf(r, err).answer()
	}
	took := time.Since(began)
	h.Metrics.observe(t.resource, a.status, took)
	a.write(w, took)
}

// answer returns the answer, or why the request fails. It authenticates before anything else: an
// unknown caller learns nothing, and a key of another account only gets a 404.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, t target, known bool) (answer, error) {
	user, password, _ := r.BasicAuth()
	who, ok := h.Auth.Authenticate(r.Context(), user, password)
	switch {
	case !ok:
		return answer{}, errUnauthorized
	case !known:
		return answer{}, notServed(r.URL.Path)
	case !who.May(t.account):
		return answer{}, projections.ErrNotFound
	}
	if err := t.allows(r.Method); err != nil {
		return answer{}, err
	}
	if reads(r.Method) {
		return h.answerRead(r, t)
	}
	return h.answerWrite(w, r, t, who)
}

func reads(method string) bool { return method == http.MethodGet || method == http.MethodHead }

func (h *Handler) answerRead(r *http.Request, t target) (answer, error) {
	if !h.reads.acquire() {
		return answer{}, errTooMany
	}
	defer h.reads.release()
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return answer{}, badRequest("the query cannot be decoded")
	}
	ctx, cancel := context.WithTimeout(r.Context(), readTime)
	defer cancel()
	body, err := h.read(ctx, t, q)
	return answer{status: http.StatusOK, body: body}, err
}

// slots limits the requests answered at a time.
type slots chan struct{}

func (s slots) acquire() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s slots) release() { <-s }

// read answers an authorized read of an existing path.
func (h *Handler) read(ctx context.Context, t target, q url.Values) ([]byte, error) {
	if t.resource == conferences {
		return h.listConferences(ctx, t, q)
	}
	stored, err := h.Reader.Conference(ctx, events.Key{AccountSid: t.account, ConferenceSid: t.conference})
	if err != nil {
		return nil, err
	}
	c := stored.Conference
	switch t.resource {
	case participants:
		return listParticipants(c, h.Now(), t, q)
	case participant:
		return fetchParticipant(c, h.Now(), t, q)
	case recordings:
		return listRecordings(c, t, q)
	case recording:
		return fetchRecording(c, t)
	}
	return projections.AppendConference(nil, c), nil
}
