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
	w := doctor.Webhooks{AccountSid: a.Sid, URL: x.PublicURL + callback.ConferencePath}
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
	var lists struct {
		Settings   *[]doctor.WebhookSetting   `json:"settings"`
		Rules      *[]doctor.WebhookRule      `json:"rules"`
		Operations *[]doctor.WebhookOperation `json:"operations"`
	}
	lists.Settings, lists.Rules, lists.Operations = &w.Settings, &w.Rules, &w.Operations
	// An account has at most 50 of each, so one page holds all.
	ok := askWebhooks(ctx, client, &w, http.MethodGet, "Settings?pageSize=100", "", &lists) &&
		askWebhooks(ctx, client, &w, http.MethodGet, "Rules?pageSize=100", "", &lists) &&
		askWebhooks(ctx, client, &w, http.MethodGet, "Operations?pageSize=100", "", &lists)
	if id := w.Setting(); ok && call && id != "" {
		w.Test = &doctor.WebhookTest{}
		body, _ := json.Marshal(map[string]string{"url": w.URL, "settingId": id, "method": http.MethodPost})
		askWebhooks(ctx, client, &w, http.MethodPost, "Tests", string(body), w.Test)
	}
	return w
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
