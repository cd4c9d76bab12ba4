package callback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"gavel/events"
	"gavel/internal/twilio"
)

// The door's paths, relative to the public URL.
const (
	ConferencePath = "/twilio/conference"
	RecordingPath  = "/twilio/recording"
	EventsPath     = "/twilio/events"
)

// Journal stores events durably.
type Journal interface {
	// Append returns nil once the entry is stored durably. It gives up by
	// itself after AppendBudget, so that requests that wait together share one
	// timer. The error wraps events.ErrUnavailable if the journal is already
	// known to be down, or the context's error if that ended first.
	Append(ctx context.Context, conferenceSid string, e events.Entry) error
}

// DeadLetters stores genuine requests that could not be accepted.
type DeadLetters interface {
	Put(ctx context.Context, d events.DeadLetter) error
}

// Config is what the door needs; every field except Speech is required.
type Config struct {
	// PublicURL is where Twilio reaches Gavel, "https://host[:port][/prefix]".
	// A proxy must remove the prefix.
	PublicURL   string
	Accounts    *twilio.Accounts
	Journal     Journal
	DeadLetters DeadLetters
	Speech      SpeechPolicy
	Log         *slog.Logger
	Metrics     *Metrics
	// Now returns the machine's clock.
	Now func() time.Time
	// Clock may be nil: the machine's clock is never in doubt then.
	Clock Clock
}

// Clock learns from signed times whether the machine's clock is right.
type Clock interface {
	// Doubt returns why the machine's clock is in doubt, or nil.
	Doubt() error
	// Witness records a time that Twilio signed.
	Witness(t time.Time)
	// Now returns the time, also while the machine's clock is in doubt.
	Now() time.Time
}

// machine is the machine's clock alone.
type machine func() time.Time

func (m machine) Doubt() error      { return nil }
func (m machine) Now() time.Time    { return m() }
func (m machine) Witness(time.Time) {}

// Door answers requests from Twilio.
type Door struct {
	cfg       Config
	endpoints map[string]*endpoint // by path
	refusals  *refusalLog
	speech    *speechLedger
	unread    unread
	memory    *pressure
}

// endpoint is one path of the door.
type endpoint struct {
	urls   twilio.URLs
	source events.Source
	// methods is POST and maybe GET, in the form of the Allow header.
	methods string
	accept  func(*Door, arrival) error
}

// arrival is one request to an endpoint.
type arrival struct {
	*http.Request
	w       http.ResponseWriter
	at      *endpoint
	arrived time.Time
}

// New returns the door, an http.Handler for everything below /twilio/ except announcements. Close it after the server has stopped.
func New(cfg Config) (*Door, error) {
	if cfg.Accounts == nil || cfg.Journal == nil || cfg.DeadLetters == nil ||
		cfg.Log == nil || cfg.Metrics == nil || cfg.Now == nil {
		return nil, errors.New("make door: a required field of Config is missing")
	}
	if cfg.Clock == nil {
		cfg.Clock = machine(cfg.Now)
	}
	memory := newPressure(debug.SetMemoryLimit(-1))
	d := &Door{cfg: cfg, refusals: newRefusalLog(cfg.Log), unread: newUnread(cfg.Now, memory.room), memory: memory, endpoints: map[string]*endpoint{
		ConferencePath: {source: events.SourceCallback, methods: "GET, POST", accept: (*Door).acceptForm},
		RecordingPath:  {source: events.SourceRecording, methods: "GET, POST", accept: (*Door).acceptForm},
		EventsPath:     {source: events.SourceEventStream, methods: "POST", accept: (*Door).acceptBatch},
	}}
	for path, at := range d.endpoints {
		var err error
		if at.urls, err = twilio.NewURLs(cfg.PublicURL, path); err != nil {
			return nil, fmt.Errorf("make door: %w", err)
		}
	}
	d.speech = newSpeechLedger(cfg)
	d.ShowKeys()
	return d, nil
}

// ShowKeys makes gavel_key_matched_total show every key of the accounts. Call it again after a
// change of the accounts, from one goroutine at a time.
func (d *Door) ShowKeys() {
	for _, a := range d.cfg.Accounts.All() {
		d.cfg.Metrics.showKeys(a.KeyNames()...)
	}
}

// Close appends to the journal which speech events were dropped since the last append. After an
// error, some numbers are missing from the journal and later look like gaps.
func (d *Door) Close(ctx context.Context) error { return d.speech.close(ctx) }

// ServeHTTP answers one request. The response has no body, because Twilio ignores it.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := d.endpoints[r.URL.Path]
	if at == nil || r.URL.RawPath != "" { // an escaped spelling is another path
		d.refuseWith(w, r, d.nearest(r.URL.Path), refuse(http.StatusNotFound, reasonPath))
		return
	}
	arrived := d.cfg.Now()
	err := d.accept(arrival{r, w, at, arrived})
	if err != nil {
		d.refuseWith(w, r, at, err)
	} else {
		w.WriteHeader(http.StatusNoContent)
	}
	d.cfg.Metrics.observe(d.cfg.Now().Sub(arrived))
}

// nearest returns the endpoint whose URL the sender of a wrong path probably meant, for the log.
func (d *Door) nearest(path string) *endpoint {
	for own, at := range d.endpoints {
		if strings.Contains(path, own) {
			return at
		}
	}
	return d.endpoints[ConferencePath]
}

// accept checks the method; the endpoint does the rest. Without room for a genuine request nothing
// is read, because reading and checking cost more than the answer.
func (d *Door) accept(r arrival) error {
	if d.memory.high(r.arrived) {
		return refuse(http.StatusServiceUnavailable, reasonMemory)
	}
	if d.memory.full() {
		return refuse(http.StatusServiceUnavailable, reasonInFlight)
	}
	if r.Method != http.MethodPost && (r.Method != http.MethodGet || r.at.source == events.SourceEventStream) {
		return refuse(http.StatusMethodNotAllowed, reasonMethod)
	}
	return r.at.accept(d, r)
}

// admit runs store if no more genuine requests are in flight than fit into memory. Requests that are not
// genuine, or whose body is not complete, take no place: anyone can send them.
func (d *Door) admit(body int, store func() error) error {
	held := d.memory.enter(body)
	if held == 0 {
		return refuse(http.StatusServiceUnavailable, reasonInFlight)
	}
	d.cfg.Metrics.inFlight.Add(1)
	defer func() { d.cfg.Metrics.inFlight.Add(-1); d.memory.leave(held) }()
	return store()
}

// refuseWith writes every answer except 204.
func (d *Door) refuseWith(w http.ResponseWriter, r *http.Request, at *endpoint, err error) {
	var why *refusal
	if !errors.As(err, &why) {
		why = unavailable(err)
	}
	switch why.status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", at.methods)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", retryAfter)
	case http.StatusRequestTimeout:
		w.Header().Set("Connection", "close")
	}
	w.WriteHeader(why.status)
	d.cfg.Metrics.countRefusal(why)
	d.refusals.write(r.Context(), why, at, r.URL.RawQuery != "")
}

// keep appends a genuine event of valid form to the journal, unless it is a
// speech event that the settings leave out.
func (d *Door) keep(ctx context.Context, e events.Entry, event *events.Event) error {
	d.cfg.Metrics.countReceived(event.Kind)
	if d.cfg.Clock.Doubt() != nil {
		d.witness(event)
		e.ReceivedAt = d.cfg.Clock.Now()
	}
	if event.Kind.Speech() && !d.cfg.Speech.keeps(event.SequenceNumber) && d.speech.add(event) {
		return nil
	}
	return d.cfg.Journal.Append(ctx, event.ConferenceSid, e)
}

// witness shows a callback's time to a clock in doubt. The projector does so for all others.
func (d *Door) witness(event *events.Event) {
	if signed, err := events.ParseTimestamp(event.Params.Get("Timestamp")); err == nil {
		d.cfg.Clock.Witness(signed)
	}
}

// storeLetter stores a genuine request of invalid form as a dead letter, and
// returns the refusal to answer with.
func (d *Door) storeLetter(ctx context.Context, letter events.DeadLetter, why *refusal) error {
	why.account = letter.AccountSid
	letter.Kind = events.Refused
	letter.Reason = string(why.reason)
	var fault *events.FormError
	if errors.As(why.fault, &fault) {
		letter.Field, letter.Reason = fault.Field, fault.Reason
	}
	ctx, cancel := context.WithTimeout(ctx, AppendBudget)
	defer cancel()
	if err := d.cfg.DeadLetters.Put(ctx, letter); err != nil {
		lost := refuse(http.StatusServiceUnavailable, reasonDeadLetters).because(err)
		lost.account = letter.AccountSid
		return lost
	}
	return why
}
