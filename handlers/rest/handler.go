package rest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gavel/events"
	"gavel/internal/keys"
	"gavel/projections"
)

// Prefix is the path under which the handler is mounted, in any router that
// leaves the escaped path as it came.
const Prefix = "/" + projections.APIVersion + "/"

// maxInFlight bounds the requests answered at once. Twilio's limit is one of
// concurrency too, and its clients know the answer: 429, safe to repeat. The
// number keeps the largest lists (1,000 items, about 1 MB) below 256 MB.
const maxInFlight = 256

// Authenticator says who a request comes from.
type Authenticator interface {
	Authenticate(ctx context.Context, user, password string) (keys.Identity, bool)
}

// Config is what the handler needs; all of it.
type Config struct {
	Reader  projections.Reader
	Auth    Authenticator
	Log     *slog.Logger
	Metrics *Metrics
}

// Handler answers everything under Prefix.
type Handler struct {
	Config
	slots chan struct{}
}

// New returns the handler.
func New(c Config) *Handler {
	return &Handler{Config: c, slots: make(chan struct{}, maxInFlight)}
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	t, known := parseTarget(r.URL.EscapedPath())
	status := http.StatusOK
	body, err := h.answer(r, t, known)
	if err != nil {
		f := h.faultOf(r, err)
		status, body = f.status, f.body()
		f.addHeaders(w.Header())
	}
	took := time.Since(began)
	h.Metrics.observe(t.resource, status, took)
	write(w, status, body, took)
}

// answer returns the body of a success, or why there is none. Who asks is
// settled before what: a stranger learns nothing else, and a key of another
// account learns only that there is nothing.
func (h *Handler) answer(r *http.Request, t target, known bool) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		return nil, errTooMany
	}
	user, password, _ := r.BasicAuth()
	who, ok := h.Auth.Authenticate(r.Context(), user, password)
	switch {
	case !ok:
		return nil, errUnauthorized
	case !known || !who.May(t.account):
		return nil, projections.ErrNotFound
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return nil, errReadsOnly
	case t.resource != conferences && t.conference == "":
		return nil, errNoConferenceSid
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("the query cannot be decoded")
	}
	return h.read(r.Context(), t, q)
}

// read answers a request that is allowed and well addressed.
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
		return listParticipants(c, t, q)
	case participant:
		return fetchParticipant(c, t, q)
	case recordings:
		return listRecordings(c, t, q)
	case recording:
		return fetchRecording(c, t)
	}
	return projections.AppendConference(nil, c), nil
}

// write sends the answer with the headers that Twilio's has.
func write(w http.ResponseWriter, status int, body []byte, took time.Duration) {
	h := w.Header()
	h.Set("Content-Type", "application/json;charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Twilio-Request-Id", requestID())
	h.Set("Twilio-Request-Duration", strconv.FormatFloat(took.Seconds(), 'f', 3, 64))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone, and nobody is left to tell
}

func requestID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return "RQ" + hex.EncodeToString(b[:])
}
