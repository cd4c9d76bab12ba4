package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

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
