package callback

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"gavel/events"
	"gavel/internal/twilio"
)

// formType is what Twilio sends with a POST.
const formType = "application/x-www-form-urlencoded"

// bodies are buffers for forms, so that a body costs no memory of its own until
// it is known to be whole.
var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

// formCallback is a request that carries parameters, before anything about it
// is believed.
type formCallback struct {
	account *twilio.Account
	entry   events.Entry
	params  events.Params // of entry.Form
	// signed are the parameters that are signed beside the URL: a POST's.
	signed events.Params
	// query is the fault of a query that the settings do not list.
	query error
}

// acceptForm takes a statusCallback or recordingStatusCallback. What costs
// little comes first: nobody but Twilio should make the door work.
func (d *Door) acceptForm(r *http.Request, at *endpoint, arrived time.Time) error {
	sig, err := signatureOf(r)
	if err != nil {
		return err
	}
	c := formCallback{entry: events.Entry{Source: at.source, ReceivedAt: arrived}}
	if r.Method == http.MethodGet {
		err = d.readQuery(r, &c)
	} else {
		err = d.readForm(r, &c)
	}
	if err != nil {
		return err
	}
	key, ok := c.account.Verify(sig, at.urls, r.URL.RawQuery, c.signed)
	if !ok {
		return refuse(http.StatusForbidden, reasonSignature).of(c.account)
	}
	d.cfg.Metrics.byKey[key].Inc()
	return d.acceptGenuine(r.Context(), &c)
}

// acceptGenuine goes on with what Twilio signed.
func (d *Door) acceptGenuine(ctx context.Context, c *formCallback) error {
	if c.query != nil {
		return d.putAside(ctx, c.letter(), refuse(http.StatusForbidden, reasonQuery).because(c.query))
	}
	event, err := events.ParseParams(c.entry, c.params)
	if err != nil {
		return d.putAside(ctx, c.letter(), refuse(http.StatusForbidden, reasonForm).because(err))
	}
	if err := d.keep(ctx, c.entry, &event); err != nil {
		return unavailable(err).of(c.account)
	}
	return nil
}

func (c *formCallback) letter() events.DeadLetter {
	return events.DeadLetter{
		AccountSid: c.account.Sid,
		ReceivedAt: c.entry.ReceivedAt,
		Source:     c.entry.Source,
		Query:      c.entry.Query,
		Form:       c.entry.Form,
	}
}

// readForm reads a POST. A query on it is the callback URL's own, and only one
// that the settings list as a whole is let through: see events.Parse.
func (d *Door) readForm(r *http.Request, c *formCallback) error {
	if err := checkBody(r, maxForm, formType); err != nil {
		return err
	}
	room := bodies.Get().(*[]byte)
	defer bodies.Put(room)
	body, err := readBody(r, (*room)[:0], maxForm)
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
	if (r.URL.RawQuery != "" || r.URL.ForceQuery) && !c.account.ListsQuery(r.URL.RawQuery) {
		c.query = &events.FormError{Field: "query", Reason: "is not listed for the account"}
	}
	return nil
}

// readQuery reads a GET, whose parameters stand behind the callback URL's own
// query, if it has one.
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

// isQuery reports whether s holds only what may stand in a request's first
// line. HTTP/2 lets more through.
func isQuery(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '#' {
			return false
		}
	}
	return true
}

// ownQuery returns the longest of the account's queries that stands in front
// of Twilio's parameters.
func ownQuery(a *twilio.Account, raw string) (own string) {
	for _, q := range a.CallbackQueries {
		if len(q) > len(own) && strings.HasPrefix(raw, q) && strings.HasPrefix(raw[len(q):], "&") {
			own = q
		}
	}
	return own
}

// parse decodes the parameters and finds the account they name. Nothing of
// this is verified yet; the account says only which keys to try.
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
