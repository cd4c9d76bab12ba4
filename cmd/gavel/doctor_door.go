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

// knockTime bounds one request to Gavel, directly or through its proxy. Twilio
// waits 15 s.
const knockTime = 15 * time.Second

// prober does not follow redirects: neither does Twilio with its parameters.
var prober = &http.Client{
	Timeout:       knockTime,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// knockAtHealth returns why Gavel cannot be asked, or nothing where it can.
func knockAtHealth(ctx context.Context, server string) string {
	k := knock(ctx, http.MethodGet, server+"/healthz", "", "")
	switch {
	case k.Fault != nil:
		return fmt.Sprintf("no Gavel answers at %s (%v); --server says where to ask", server, k.Fault)
	case k.Status != http.StatusOK:
		return fmt.Sprintf("what answers at %s is no Gavel, or its admin side is elsewhere; --server says where to ask", server)
	}
	return ""
}

// publicURL goes the way of a callback, from outside the process.
func (x *examination) publicURL(ctx context.Context) []doctor.Finding {
	switch {
	case !x.Roles.Has(app.Door):
		return []doctor.Finding{doctor.Skipped(doctor.CheckPublicURL, "the settings have no role door")}
	case x.absent != "":
		return []doctor.Finding{doctor.Skipped(doctor.CheckPublicURL, x.absent)}
	}
	d := doctor.Door{PublicURL: x.PublicURL, Plain: knock(ctx, http.MethodHead, x.PublicURL+callback.ConferencePath, "", "")}
	for _, a := range x.Accounts {
		d.Signed = append(d.Signed, selfTest(ctx, x.PublicURL, a))
	}
	return d.Findings()
}

// nothing is a batch of Event Streams that tells nothing: the door verifies it
// like any other, and there is nothing in it to keep.
const nothing = "[]"

// selfTest sends nothing, signed as Twilio would sign it.
func selfTest(ctx context.Context, publicURL string, a twilio.Account) doctor.Knock {
	sum := sha256.Sum256([]byte(nothing))
	url := publicURL + callback.EventsPath + "?bodySHA256=" + hex.EncodeToString(sum[:])
	k := knock(ctx, http.MethodPost, url, nothing, twilio.Sign(a.Tokens.Current.Reveal(), url, nil))
	k.AccountSid = a.Sid
	return k
}

func knock(ctx context.Context, method, url, body, signature string) doctor.Knock {
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
	_, _ = io.CopyN(io.Discard, response.Body, maxProblem) // what it says does not matter
	return doctor.Knock{Status: response.StatusCode, Allow: response.Header.Get("Allow")}
}
