package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/app"
	"gavel/handlers/announce"
	"gavel/handlers/callback"
	"gavel/internal/doctor"
	"gavel/internal/twilio"
)

// probeTime bounds one request to Gavel, directly or through its proxy. Twilio waits 15 s.
const probeTime = 15 * time.Second

// prober does not follow redirects: Twilio follows them without the parameters.
var prober = &http.Client{
	Timeout:       probeTime,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// probeHealth returns why Gavel cannot be reached, or "" if it can.
func probeHealth(ctx context.Context, server string) string {
	k := probe(ctx, http.MethodGet, server+"/healthz", "", "")
	switch {
	case k.Fault != nil:
		return fmt.Sprintf("no Gavel answers at %s (%v); --server names another address", server, k.Fault)
	case k.Status != http.StatusOK:
		return fmt.Sprintf("the server at %s is not a Gavel, or its admin side is elsewhere; --server names another address", server)
	}
	return ""
}

// publicURL sends a request over the path of a callback, from outside the process.
func (x *examination) publicURL(ctx context.Context) []doctor.Finding {
	switch {
	case !x.Roles.Has(app.Door):
		return []doctor.Finding{doctor.Skipped(doctor.CheckPublicURL, "the settings have no role door")}
	case x.absent != "":
		return []doctor.Finding{doctor.Skipped(doctor.CheckPublicURL, x.absent)}
	}
	_, shown := twilio.WithoutUser(x.PublicURL)
	d := doctor.Door{PublicURL: shown, Plain: probe(ctx, http.MethodHead, x.PublicURL+callback.ConferencePath, "", "")}
	for _, a := range x.Accounts {
		d.Signed = append(d.Signed, selfTest(ctx, x.PublicURL, a))
	}
	return d.Findings()
}

// emptyBatch is a batch of Event Streams without an event: the door verifies it
// like any other, and stores nothing.
const emptyBatch = "[]"

// selfTest sends an empty batch, signed as Twilio signs one.
func selfTest(ctx context.Context, publicURL string, a twilio.Account) doctor.Knock {
	sum := sha256.Sum256([]byte(emptyBatch))
	url := publicURL + callback.EventsPath + "?bodySHA256=" + hex.EncodeToString(sum[:])
	k := probe(ctx, http.MethodPost, url, emptyBatch, a.Sign(url, nil))
	k.AccountSid = a.Sid
	return k
}

func probe(ctx context.Context, method, url, body, signature string) doctor.Knock {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return doctor.Knock{Fault: withoutURL(err)}
	}
	if signature != "" {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set(twilio.SignatureHeader, signature)
	}
	response, err := prober.Do(request)
	if err != nil {
		return doctor.Knock{Fault: withoutURL(err)}
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, maxProblem) // only the status and headers matter
	return doctor.Knock{Status: response.StatusCode, Allow: response.Header.Get("Allow")}
}

// webhooks reads from Twilio's Webhooks API how the callbacks of each account are signed and sent.
func (x *examination) webhooks(ctx context.Context, call bool) (found []doctor.Finding) {
	if !x.Roles.Has(app.Door) || len(x.Accounts) == 0 {
		return []doctor.Finding{doctor.Skipped(doctor.CheckWebhooks, "the settings have no role door, or no account")}
	}
	for _, a := range x.Accounts {
		if a.APIKey == (twilio.APIKey{}) {
			found = append(found, doctor.Skipped(doctor.CheckWebhooks, "account "+a.Sid+" has no api_key, which Twilio's Webhooks API needs"))
			continue
		}
		found = append(found, x.readWebhooks(ctx, a, call).Findings()...)
	}
	return found
}

func (x *examination) readWebhooks(ctx context.Context, a twilio.Account, call bool) doctor.Webhooks {
	// What Twilio compares with the rules has no user name, as what it signs.
	public, _ := twilio.WithoutUser(x.PublicURL)
	w := doctor.Webhooks{AccountSid: a.Sid}
	for _, path := range []string{callback.ConferencePath, callback.RecordingPath, callback.EventsPath, announce.Path} {
		w.URLs = append(w.URLs, public+path)
	}
	for _, k := range a.SharedKeys {
		w.Keys = append(w.Keys, string(k.ID))
	}
	all, err := twilio.NewAccounts([]twilio.Account{a})
	if err != nil {
		w.Fault = err
		return w
	}
	client := twilio.NewClient(twilio.ClientConfig{
		Base: twilio.WebhooksBase(x.TwilioAPI), Accounts: all, Metrics: twilio.NewClientMetrics(prometheus.NewRegistry()),
	})
	defer client.Close()
	// An account has at most 50 of each, so one page holds all. Without a type Twilio lists only the
	// customer's settings (npm twilio 6.3.1, SettingListInstanceOptions).
	ok := true
	for _, list := range []string{"Settings?type=SYSTEM&pageSize=100", "Settings?type=CUSTOMER&pageSize=100", "Rules?pageSize=100", "Operations?pageSize=100"} {
		var page struct {
			Settings   []doctor.WebhookSetting   `json:"settings"`
			Rules      []doctor.WebhookRule      `json:"rules"`
			Operations []doctor.WebhookOperation `json:"operations"`
		}
		ok = ok && askWebhooks(ctx, client, &w, http.MethodGet, list, "", &page)
		w.Settings, w.Rules, w.Operations = append(w.Settings, page.Settings...), append(w.Rules, page.Rules...), append(w.Operations, page.Operations...)
	}
	if ok && call {
		x.callDoor(ctx, client, &w)
	}
	return w
}

// callDoor makes Twilio call the two endpoints of callbacks with each setting that has a share of
// theirs. The door ignores such a call, and refuses it at the others, whose requests have another form.
func (x *examination) callDoor(ctx context.Context, client *twilio.Client, w *doctor.Webhooks) {
	for i, path := range []string{callback.ConferencePath, callback.RecordingPath} {
		for _, id := range w.UsedSettings(w.URLs[i]) {
			test := doctor.WebhookTest{URL: w.URLs[i], Setting: id}
			body, _ := json.Marshal(map[string]string{"url": x.PublicURL + path, "settingId": id, "method": http.MethodPost}) // texts
			if !askWebhooks(ctx, client, w, http.MethodPost, "Tests", string(body), &test) {
				return
			}
			w.Tests = append(w.Tests, test)
		}
	}
}

// askWebhooks makes one request and reads its answer into a value, or notes why that failed.
func askWebhooks(ctx context.Context, client *twilio.Client, w *doctor.Webhooks, method, path, body string, into any) bool {
	answer, err := client.Call(ctx, twilio.Call{AccountSid: w.AccountSid, Kind: "doctor", Method: method, Path: "/v1/Webhooks/" + path, JSON: body})
	switch {
	case err != nil:
		w.Fault = err
	case answer.Status/100 != 2:
		w.Status, w.Code = answer.Status, answer.Code()
	default:
		w.Fault = json.Unmarshal(answer.Body, into)
		return w.Fault == nil
	}
	return false
}
