package callback

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"gavel/events"
	"gavel/internal/twilio"
)

// formType is the content type of Twilio's POST requests.
const formType = "application/x-www-form-urlencoded"

// bodies are reusable buffers for forms, so that a body costs no allocation of
// its own until it is complete.
var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

// formCallback is a request with parameters, before it is verified.
type formCallback struct {
	account *twilio.Account
	entry   events.Entry
	params  events.Params // of entry.Form
	// signed are the parameters that the signature covers besides the URL: those of a POST.
	signed events.Params
	// query is the error for a query that the settings do not list.
	query error
}

// acceptForm accepts a statusCallback or recordingStatusCallback. Cheap checks
// come first: only Twilio should be able to make the door do expensive work.
func (d *Door) acceptForm(r arrival) error {
	sig, err := signatureOf(r.Request)
	if err != nil {
		return err
	}
	c := formCallback{entry: events.Entry{Source: r.at.source, ReceivedAt: r.arrived}}
	if r.Method == http.MethodGet {
		err = d.readQuery(r.Request, &c)
	} else {
		err = d.readForm(&r, &c)
	}
	if err != nil {
		return err
	}
	matched, ok := c.account.Verify(sig, r.at.urls, r.URL.RawQuery, c.signed)
	if !ok {
		return refuse(http.StatusForbidden, reasonSignature).of(c.account).because(explainSettings(r.Request, c.account))
	}
	d.cfg.Metrics.countKey(matched.Key)
	c.entry.Region = matched.Region
	return d.admit(len(c.entry.Form), func() error { return d.acceptGenuine(r.Context(), &c) })
}

// acceptGenuine handles a request whose signature is correct. A callback that is not about a
// conference is counted and answered 204: an error would only make Twilio send it again.
func (d *Door) acceptGenuine(ctx context.Context, c *formCallback) error {
	if _, there := c.params.Lookup("ConferenceSid"); !there {
		if kind, ok := events.Foreign(c.params); ok {
			d.cfg.Metrics.ignored.WithLabelValues(kind).Inc()
			return nil
		}
	}
	if c.query != nil {
		return d.storeLetter(ctx, c.letter(), refuse(http.StatusForbidden, reasonQuery).because(c.query))
	}
	event, err := events.ParseParams(c.entry, c.params)
	if err != nil {
		return d.storeLetter(ctx, c.letter(), refuse(http.StatusForbidden, reasonForm).because(err))
	}
	if err := d.keep(ctx, c.entry, &event); err != nil {
		return unavailable(err).of(c.account)
	}
	return nil
}

func (c *formCallback) letter() events.DeadLetter {
	return events.DeadLetter{
		AccountSid: c.account.Sid, ReceivedAt: c.entry.ReceivedAt, Source: c.entry.Source,
		Query: c.entry.Query, Region: c.entry.Region, Form: c.entry.Form,
	}
}

// readForm reads a POST. Its query is the callback URL's own; only a query that
// the settings list, or that matches a pattern in them, is accepted.
func (d *Door) readForm(r *arrival, c *formCallback) error {
	if err := checkBody(r.Request, maxForm, formType); err != nil {
		return err
	}
	if !isQuery(r.URL.RawQuery) { // the journal puts the region of a key behind a space
		return refuse(http.StatusForbidden, reasonEncoding)
	}
	room := bodies.Get().(*[]byte)
	defer bodies.Put(room)
	body, err := d.readBody(r, (*room)[:0], maxForm)
	*room = body
	if err != nil {
		return err
	}
	c.entry.Form = string(body)
	if err := d.parse(c); err != nil {
		return err
	}
	c.signed = c.params
	c.entry.Query = r.URL.RawQuery
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		c.query = c.account.CheckQuery(r.URL.RawQuery, c.params)
	}
	return nil
}

// readQuery reads a GET. Its parameters follow the callback URL's own query, if it has one.
func (d *Door) readQuery(r *http.Request, c *formCallback) error {
	raw := r.URL.RawQuery
	if len(raw) > maxForm {
		return refuse(http.StatusRequestEntityTooLarge, reasonTooLarge)
	}
	if !isQuery(raw) {
		return refuse(http.StatusForbidden, reasonEncoding)
	}
	c.entry.Form = raw
	if err := d.parse(c); err != nil {
		return err
	}
	if own := ownQuery(c.account, raw); own != "" {
		c.entry.Query, c.entry.Form = own, raw[len(own)+1:]
		return d.parse(c)
	}
	return nil
}

// isQuery reports whether s contains only characters that a request line may
// contain. HTTP/2 allows more.
func isQuery(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '#' {
			return false
		}
	}
	return true
}

// ownQuery returns the longest of the account's listed queries that precedes Twilio's parameters.
func ownQuery(a *twilio.Account, raw string) (own string) {
	for _, q := range a.CallbackQueries {
		if len(q) > len(own) && !strings.Contains(q, "*") && strings.HasPrefix(raw, q) && strings.HasPrefix(raw[len(q):], "&") {
			own = q
		}
	}
	return own
}

// parse decodes the parameters and finds the account that they name. They are
// not verified yet; the account only selects the keys to try.
func (d *Door) parse(c *formCallback) (err error) {
	if c.params, err = events.ParseForm(c.entry.Form, events.MaxParams); err != nil {
		if errors.Is(err, events.ErrTooManyParams) {
			return refuse(http.StatusRequestEntityTooLarge, reasonTooLarge).because(err)
		}
		return refuse(http.StatusForbidden, reasonEncoding).because(err)
	}
	account, known := d.cfg.Accounts.Lookup(c.params.Get("AccountSid"))
	if !known {
		return refuse(http.StatusForbidden, reasonAccount)
	}
	c.account = account
	return nil
}
