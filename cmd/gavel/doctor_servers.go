package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/app"
	"gavel/internal/bus"
	"gavel/internal/bus/natsd"
	"gavel/internal/doctor"
	"gavel/internal/twilio"
	"gavel/projections/redisstore"
)

// nats checks the external NATS, or the embedded one of a Gavel that runs here and
// accepts other clients.
func (x *examination) nats(ctx context.Context) []doctor.Finding {
	c, inProcess := x.NATS, x.NATS.URL == app.Embedded
	if inProcess {
		address, why := x.embeddedNATS()
		if why != "" {
			return []doctor.Finding{doctor.Skipped(doctor.CheckNATS, why)}
		}
		c.URL, c.Replicas = address, 1
	}
	found, err := bus.Examine(ctx, c)
	if err != nil && inProcess {
		// Another NATS may have the address; then Gavel does not expose its own.
		return []doctor.Finding{doctor.Skipped(doctor.CheckNATS, fmt.Sprintf("the embedded server is not at %s: %v", x.NATS.Listen, err))}
	}
	if err == nil {
		x.clocks = append(x.clocks, doctor.Clock{Whose: "NATS", Ahead: found.Ahead, Within: found.Within})
	}
	return doctor.NATS{Examination: found, Embedded: inProcess, Declared: x.NATS.Sync == bus.SyncAlways, Fault: err}.Findings()
}

// embeddedNATS returns the address of the embedded server, or why it has none.
func (x *examination) embeddedNATS() (address, why string) {
	if x.absent != "" {
		return "", "the embedded server is part of Gavel; " + x.absent
	}
	if x.NATS.Listen == bus.ListenOff {
		return "", "the embedded server accepts no clients (--nats-listen off); Gavel checked its streams and its sync at the start"
	}
	token, err := os.ReadFile(filepath.Join(x.DataDir, natsd.TokenFile))
	if err != nil {
		return "", "the token of the embedded server cannot be read; name the data directory of the running Gavel with --data-dir"
	}
	return "nats://" + strings.TrimSpace(string(token)) + "@" + ownAddress(x.NATS.Listen), ""
}

func (x *examination) redis(ctx context.Context) []doctor.Finding {
	if x.Redis.Embedded() {
		return []doctor.Finding{doctor.Skipped(doctor.CheckRedis, "the embedded Redis is part of Gavel, which makes it from the journal")}
	}
	options, err := x.Redis.Options()
	if err != nil {
		return doctor.Redis{Fault: err}.Findings()
	}
	servers, err := redisstore.Examine(ctx, options)
	for _, s := range servers {
		x.clocks = append(x.clocks, doctor.Clock{Whose: "Redis", Ahead: s.Ahead, Within: s.Within})
	}
	return doctor.Redis{Servers: servers, Fault: err}.Findings()
}

// credentials checks each account's auth token and API key with Twilio.
func (x *examination) credentials(ctx context.Context) (found []doctor.Finding) {
	if len(x.Accounts) == 0 {
		return []doctor.Finding{doctor.Skipped(doctor.CheckCredentials, "the settings have no account")}
	}
	for _, a := range x.Accounts {
		if len(a.AuthTokens()) == 0 && a.APIKey == (twilio.APIKey{}) {
			found = append(found, doctor.OnlySharedKeys(a.Sid))
		}
		found = append(found, x.checkAccount(ctx, a)...)
		for _, r := range a.Regions {
			found = append(found, x.checkRegion(ctx, a, r)...)
		}
	}
	return found
}

// checkAccount checks the credentials of the home region.
func (x *examination) checkAccount(ctx context.Context, a twilio.Account) (found []doctor.Finding) {
	a.Regions = nil
	bare := a
	bare.APIKey = twilio.APIKey{}
	if len(a.AuthTokens()) > 0 {
		found = x.checkCredential(ctx, bare, "", "auth token", "/2010-04-01/Accounts/"+a.Sid+".json")
	}
	if a.APIKey != (twilio.APIKey{}) {
		// A standard key may not fetch the account itself (Twilio, "API keys
		// overview"), so the check fetches what Gavel needs.
		found = append(found, x.checkCredential(ctx, a, "", "API key", "/2010-04-01/Accounts/"+a.Sid+"/Conferences.json?PageSize=1")...)
	}
	return found
}

// checkRegion checks the credentials that calls of a region use.
func (x *examination) checkRegion(ctx context.Context, a twilio.Account, r twilio.Region) []doctor.Finding {
	with := either(r.APIKey == twilio.APIKey{}, "auth token", "API key") + " in region " + r.Name
	return x.checkCredential(ctx, a, r.Name, with, "/2010-04-01/Accounts/"+a.Sid+"/Conferences.json?PageSize=1")
}

// checkCredential makes one request with an account's credentials in a region.
func (x *examination) checkCredential(ctx context.Context, a twilio.Account, region, with, path string) []doctor.Finding {
	c := doctor.Credentials{AccountSid: a.Sid, With: with}
	all, err := twilio.NewAccounts([]twilio.Account{a})
	if err != nil {
		c.Fault = err
		return c.Findings()
	}
	client := twilio.NewClient(twilio.ClientConfig{
		Base: x.TwilioAPI, Accounts: all, Metrics: twilio.NewClientMetrics(prometheus.NewRegistry()),
	})
	defer client.Close()
	sent := time.Now()
	answer, err := client.Call(ctx, twilio.Call{AccountSid: a.Sid, Region: region, Kind: "doctor", Method: http.MethodGet, Path: path})
	if err != nil {
		c.Fault = err
		return c.Findings()
	}
	x.compareTwilioClock(sent, answer.Header)
	c.Status = answer.Status
	var account struct{ Status string }
	if json.Unmarshal(answer.Body, &account) == nil { // otherwise the status is enough
		c.AccountStatus = account.Status
	}
	return c.Findings()
}

// compareTwilioClock reads the Date of an answer, which has whole seconds and was
// written at some moment between request and answer.
func (x *examination) compareTwilioClock(sent time.Time, header http.Header) {
	trip := time.Since(sent)
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		theirs := date.Add(time.Second / 2)
		x.clocks = append(x.clocks, doctor.Clock{Whose: "Twilio", Ahead: theirs.Sub(sent.Add(trip / 2)), Within: (time.Second + trip) / 2})
	}
}
