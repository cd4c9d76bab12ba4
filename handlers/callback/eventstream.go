package callback

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"gavel/events"
	"gavel/internal/twilio"
)

// Media types of an Event Streams batch; Twilio sends the first.
var batchTypes = []string{"application/json", "application/cloudevents-batch+json", "application/cloudevents+json"}

// The prefixes of the types of items that contain a callback's own parameters, and of
// those among them that are always about a conference (Event Streams, "Voice status
// callback" event types).
const (
	callbackType   = "com.twilio.voice.status-callback."
	conferenceType = callbackType + "conference."
)

// item is the part of a CloudEvent that the door reads. The version of the data's
// schema is not checked: version 2 changed only what is around the data.
type item struct {
	ID   string          `json:"id"`
	Type string          `json:"type"`
	Time string          `json:"time"`
	Data json.RawMessage `json:"data"`
}

// request is the data of an item that contains a callback's own parameters.
type request struct {
	Request struct {
		Parameters map[string]string `json:"parameters"`
	} `json:"request"`
}

// batch is a genuine Event Streams request.
type batch struct {
	accounts []twilio.Verified
	arrived  time.Time
}

// acceptBatch accepts an Event Streams request. The signature covers the URL, which contains the
// body's hash. A bad item becomes a dead letter and is answered like a good one: after an error
// Twilio would send the whole batch again, with the same bad item, or drop it.
func (d *Door) acceptBatch(r arrival) error {
	sig, err := signatureOf(r.Request)
	if err != nil {
		return err
	}
	if err := checkBody(r.Request, maxBatch, batchTypes...); err != nil {
		return err
	}
	own, sum, hashed := twilio.BodyHash(r.URL.RawQuery)
	if !hashed {
		return refuse(http.StatusForbidden, reasonBodyHash)
	}
	b := batch{arrived: r.arrived, accounts: d.cfg.Accounts.VerifyJSON(sig, r.at.urls, r.URL.RawQuery)}
	if len(b.accounts) == 0 {
		return refuse(http.StatusForbidden, reasonSignature).because(explainSettings(r.Request, d.cfg.Accounts.All()...))
	}
	d.cfg.Metrics.countKey(b.accounts[0].Key)
	body, err := d.readBody(&r, nil, maxBatch)
	if err != nil {
		return err
	}
	if sha256.Sum256(body) != sum {
		return refuse(http.StatusForbidden, reasonBodyHash).of(b.accounts[0].Account)
	}
	return d.admit(len(body), func() error { return d.acceptGenuineBatch(r.Context(), &b, own, body) })
}

// acceptGenuineBatch handles a batch whose signature and hash are correct. own is its query without
// the hash.
func (d *Door) acceptGenuineBatch(ctx context.Context, b *batch, own string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, AppendBudget)
	defer cancel()
	if fault := b.checkQuery(own); fault != nil {
		return d.storeLetter(ctx, b.letter(body), refuse(http.StatusForbidden, reasonQuery).because(fault))
	}
	return d.acceptItems(ctx, b, body)
}

// acceptItems accepts the items of a genuine batch, all at once so that they share the journal's
// groups. After an error Twilio sends the whole batch again; the fold ignores the duplicates.
func (d *Door) acceptItems(ctx context.Context, b *batch, body []byte) error {
	items, err := split(body)
	if err != nil {
		return d.storeItem(ctx, b, body, err)
	}
	var work errgroup.Group
	work.SetLimit(maxTogether)
	for _, raw := range items {
		work.Go(func() error { return d.acceptItem(ctx, b, raw) })
	}
	return work.Wait()
}

// split splits a batch, or a single event, into its items.
func split(body []byte) ([]json.RawMessage, error) {
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return []json.RawMessage{body}, nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(body, &items); err != nil {
		return nil, &events.FormError{Field: "body", Reason: "is not a JSON array of events"}
	}
	return items, nil
}

// acceptItem accepts one item. An item that is not about a conference is ignored, so that it cannot
// push a letter about a conference out of the dead letters.
func (d *Door) acceptItem(ctx context.Context, b *batch, raw []byte) error {
	var it item
	if err := json.Unmarshal(raw, &it); err != nil {
		return d.storeItem(ctx, b, raw, errItem)
	}
	entry, err := it.entry(b)
	if errors.Is(err, errNoConference) {
		d.cfg.Metrics.streamItems.WithLabelValues("ignored").Inc()
		return nil
	}
	if err != nil {
		return d.storeItem(ctx, b, raw, err)
	}
	event, err := events.Parse(entry)
	if err != nil {
		return d.storeItem(ctx, b, raw, err)
	}
	signer, ok := b.signer(event.AccountSid)
	if !ok {
		return d.storeItem(ctx, b, raw, errForeign)
	}
	entry.Region = signer.Region
	if err := d.keep(ctx, entry, &event); err != nil {
		return fmt.Errorf("append item: %w", err)
	}
	d.cfg.Metrics.streamItems.WithLabelValues("accepted").Inc()
	return nil
}

var (
	errItem = &events.FormError{Field: "item", Reason: "is not a CloudEvent with a callback's parameters"}
	// errForeign: a key of one account must not be able to sign events of another.
	errForeign = &events.FormError{Field: "AccountSid", Reason: "is not the account whose key signed"}
)

// params returns the callback's parameters, sorted by name.
func (it *item) params() (params events.Params, err error) {
	var r request
	if err := json.Unmarshal(it.Data, &r); err != nil {
		return nil, errItem
	}
	for _, name := range slices.Sorted(maps.Keys(r.Request.Parameters)) {
		params = append(params, events.Param{Name: name, Value: r.Request.Parameters[name]})
	}
	return params, nil
}

// errNoConference is returned for an item that is not about a conference.
var errNoConference = errors.New("not about a conference")

// entry returns the entry of an item, or errNoConference. If the parameters of a
// callback cannot be read, only its type decides what it is about.
func (it *item) entry(b *batch) (events.Entry, error) {
	if kind := streamKinds[it.Type]; kind != "" {
		return it.streamed(kind, b)
	}
	if !strings.HasPrefix(it.Type, callbackType) {
		return events.Entry{}, errNoConference
	}
	params, err := it.params()
	if !strings.HasPrefix(it.Type, conferenceType) {
		if _, foreign := events.Foreign(params); foreign || err != nil {
			return events.Entry{}, errNoConference
		}
	}
	return events.Entry{Source: events.SourceEventStream, ReceivedAt: b.arrived, Form: params.Encode()}, err
}

// storeItem stores a bad item as a dead letter; fault is what is wrong with it. It
// returns an error only if the dead letter cannot be stored.
func (d *Door) storeItem(ctx context.Context, b *batch, raw []byte, fault error) error {
	d.cfg.Metrics.streamItems.WithLabelValues("dead").Inc()
	why := refuse(http.StatusForbidden, reasonForm).because(fault)
	err := d.storeLetter(ctx, b.letter(raw), why)
	if errors.Is(err, why) { // stored
		return nil
	}
	return err
}

func (b *batch) letter(raw []byte) events.DeadLetter {
	return events.DeadLetter{
		AccountSid: b.accounts[0].Account.Sid, ReceivedAt: b.arrived, Source: events.SourceEventStream,
		Raw: raw[:min(len(raw), maxRaw)],
	}
}

// checkQuery returns nil if a signing account allows the URL's own query. A batch
// has no parameters that the query could have absorbed.
func (b *batch) checkQuery(own string) (fault error) {
	for _, v := range b.accounts {
		if fault = v.Account.CheckQuery(own, nil); own == "" || fault == nil {
			return nil
		}
	}
	return fault
}

// signer returns the key of the account that signed the batch; ok is false if none did.
func (b *batch) signer(accountSid string) (key twilio.Match, ok bool) {
	for _, v := range b.accounts {
		if v.Account.Sid == accountSid {
			return v.Match, true
		}
	}
	return twilio.Match{}, false
}
