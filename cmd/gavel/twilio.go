package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"gavel/app"
	"gavel/handlers/callback"
	"gavel/internal/doctor"
	"gavel/internal/twilio/twiliofake"
)

// twilioCommand is the stand-in Twilio as a separate server.
type twilioCommand struct {
	Listen          string `default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Where the REST API is served (default ${default})."`
	CallbackURL     string `name:"callback-url" default:"http://127.0.0.1:8080" placeholder:"URL" help:"Gavel's public URL, where the call floor sends callbacks (default ${default})."`
	EventStreamsURL string `name:"event-streams-url" placeholder:"URL" help:"Event Streams sink that receives the same events, such as Gavel's /twilio/events (default: none)."`
	AccountSid      string `name:"account-sid" env:"TWILIO_ACCOUNT_SID" placeholder:"SID" help:"The account (default: AC and zeros)."`
	AuthToken       string `name:"auth-token" env:"TWILIO_AUTH_TOKEN" placeholder:"TOKEN" help:"Its auth token (default: zeros)."`
	APIKey          string `name:"api-key" placeholder:"SID:SECRET" help:"An API key that is also accepted (default: none)."`
	SharedKey       string `name:"shared-key" placeholder:"ID:SECRET" help:"A shared key that signs a part of the callbacks by HMAC_SHA256 (default: none)."`
	SharedPercent   int    `name:"shared-percent" default:"50" placeholder:"N" help:"How many of 100 callbacks the shared key signs (default ${default})."`
	floorFlags
	TooMany       float64       `name:"rest-429" default:"0" placeholder:"SHARE" help:"Share of REST requests that are answered 429, 0 to 1."`
	Broken        float64       `name:"rest-5xx" default:"0" placeholder:"SHARE" help:"Share of REST requests that are carried out and answered 500, 0 to 1."`
	Silent        float64       `name:"rest-silent" default:"0" placeholder:"SHARE" help:"Share of REST requests that are carried out and never answered, 0 to 1."`
	Slow          time.Duration `name:"rest-delay" default:"0s" placeholder:"DURATION" help:"Duration of the other REST requests."`
	MaxConcurrent int           `name:"rest-concurrent" default:"0" placeholder:"N" help:"Concurrent REST requests before the next is answered 429 (default: no limit)."`
	logFlags
}

// Run plays until ctx ends.
func (c *twilioCommand) Run(ctx context.Context, t *terminal) error {
	if err := c.check(); err != nil {
		return usageError{err}
	}
	l, err := app.Listen(ctx, c.Listen, 0)
	if err != nil {
		return err
	}
	standIn := twiliofake.New(c.standIn(t.err))
	l.Show(standIn.Handler())
	c.banner(t.out, "http://"+l.Address())
	playing, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { cancel(<-l.Ended()) }() // ends with the server; l.Stop below waits for it
	err = standIn.Run(playing)
	if failure := context.Cause(playing); ctx.Err() == nil && failure != nil {
		err = errors.Join(err, failure)
	}
	return errors.Join(err, l.Stop(context.WithoutCancel(ctx)))
}

func (c *twilioCommand) check() error {
	faults := []error{
		c.floorFlags.check(),
		checkShares(map[string]float64{"--rest-429": c.TooMany, "--rest-5xx": c.Broken, "--rest-silent": c.Silent}),
		flagFault("--callback-url", checkBaseURL(c.CallbackURL)),
	}
	if c.EventStreamsURL != "" {
		faults = append(faults, flagFault("--event-streams-url", checkBaseURL(c.EventStreamsURL)))
	}
	if id, secret, _ := strings.Cut(c.SharedKey, ":"); c.SharedKey != "" && (id == "" || secret == "") || c.SharedPercent < 0 || c.SharedPercent > 100 {
		faults = append(faults, errors.New("--shared-key, --shared-percent: are not ID:SECRET and 0 to 100"))
	}
	if sid, secret, _ := strings.Cut(c.APIKey, ":"); c.APIKey != "" && (sid == "" || secret == "") {
		faults = append(faults, errors.New("--api-key: is not SID:SECRET"))
	}
	if c.Slow < 0 || c.MaxConcurrent < 0 {
		faults = append(faults, errors.New("--rest-delay, --rest-concurrent: are negative"))
	}
	return errors.Join(faults...)
}

func (c *twilioCommand) standIn(log io.Writer) twiliofake.Config {
	config := c.calling(c.CallbackURL)
	config.AccountSid, config.AuthToken = c.account()
	if sid, secret, ok := strings.Cut(c.APIKey, ":"); ok {
		config.APIKeys = map[string]string{sid: secret}
	}
	if id, secret, ok := strings.Cut(c.SharedKey, ":"); ok {
		config.SharedKey, config.SharedPercent = twiliofake.SharedKey{ID: id, Secret: secret}, c.SharedPercent
	}
	config.EventStreams = c.EventStreamsURL
	config.MaxConcurrentRequests = c.MaxConcurrent
	config.Weather = c.weather()
	config.Logger = c.logger(log)
	return config
}

func (c *twilioCommand) account() (sid, token string) {
	return cmp.Or(c.AccountSid, demoAccountSid), cmp.Or(c.AuthToken, demoAuthToken)
}

// weather returns the faults that the flags request. Failed answers are of requests
// that were carried out, because that is the harder case.
func (c *twilioCommand) weather() (weather []twiliofake.Weather) {
	for _, w := range []twiliofake.Weather{
		{Share: c.TooMany, Status: http.StatusTooManyRequests, RetryAfter: time.Second},
		{Share: c.Broken, Status: http.StatusInternalServerError, CarriedOut: true},
		{Share: c.Silent, Silent: true, CarriedOut: true},
	} {
		if w.Share > 0 {
			weather = append(weather, w)
		}
	}
	return append(weather, twiliofake.Weather{Delay: c.Slow})
}

// banner prints the addresses and how to point clients at them. It prints the auth
// token only if that is the demo's.
func (c *twilioCommand) banner(w io.Writer, at string) {
	sid, token := c.account()
	if token != demoAuthToken {
		token = "..."
	}
	fmt.Fprintf(w, `Stand-in Twilio
  REST       %[1]s/2010-04-01/Accounts/%[2]s/Conferences.json
  callbacks  %[3]s
  streams    %[4]s

Point Gavel at it:
  TWILIO_ACCOUNT_SID=%[2]s TWILIO_AUTH_TOKEN=%[5]s gavel serve --twilio-api %[1]s

Point Twilio's clients at it, with the same account and token:
  node    client.api.baseUrl = "%[1]s"
  Python  client.api.base_url = "%[1]s"
  Go      an http.RoundTripper that changes the scheme and host of each request

gavel: ready twilio=%[1]s
`, at, sid, c.CallbackURL+callback.ConferencePath, cmp.Or(c.EventStreamsURL, "none"), token)
}

// floorFlags are the stand-in Twilio's call floor, and the faults on the way of its callbacks.
type floorFlags struct {
	Pace       float64       `name:"rate" default:"20" placeholder:"N" help:"Conferences a minute, 0 for an empty floor (default ${default})."`
	Seed       uint64        `default:"7" placeholder:"N" help:"Another seed plays other calls (default ${default})."`
	Duplicates float64       `default:"0" placeholder:"SHARE" help:"Share of callbacks that are sent twice, 0 to 1."`
	Reorder    float64       `default:"0" placeholder:"SHARE" help:"Share of callbacks that arrive after later ones, 0 to 1."`
	Lose       float64       `default:"0" placeholder:"SHARE" help:"Share of callbacks that are lost, 0 to 1."`
	Delay      time.Duration `default:"0s" placeholder:"DURATION" help:"Callbacks are delayed by up to this duration."`
}

// maxPace is about one terminal line a millisecond.
const maxPace = 6000

func (f floorFlags) check() error {
	var faults []error
	if f.Pace < 0 || f.Pace > maxPace {
		faults = append(faults, fmt.Errorf("--rate: %v is not 0 to %v", f.Pace, float64(maxPace)))
	}
	if f.Delay < 0 {
		faults = append(faults, errors.New("--delay: is negative"))
	}
	return errors.Join(append(faults, checkShares(map[string]float64{
		"--duplicates": f.Duplicates, "--reorder": f.Reorder, "--lose": f.Lose,
	}))...)
}

// checkShares returns an error for each flag that is not 0 to 1.
func checkShares(shares map[string]float64) error {
	var faults []error
	for flag, share := range shares {
		if !(share >= 0 && share <= 1) {
			faults = append(faults, fmt.Errorf("%s: %v is not 0 to 1", flag, share))
		}
	}
	return errors.Join(faults...)
}

// calling configures a stand-in whose floor calls a door.
func (f floorFlags) calling(door string) twiliofake.Config {
	return twiliofake.Config{
		Status:    twiliofake.Subscription{URL: door + callback.ConferencePath + "#rc=5&rp=all"},
		Recording: twiliofake.Subscription{URL: door + callback.RecordingPath + "#rc=5&rp=all"},
		Rate:      f.Pace,
		Seed:      f.Seed,
		Faults:    twiliofake.Faults{Lose: f.Lose, Duplicate: f.Duplicates, Reorder: f.Reorder, Delay: f.Delay},
	}
}

// setupCommand prints how to set up other services for Gavel.
type setupCommand struct {
	Twilio setupTwilio `cmd:"" help:"Print the requests that make Twilio sign with a shared key."`
}

// setupTwilio prints curl commands.
type setupTwilio struct {
	PublicURL string `env:"GAVEL_PUBLIC_URL" placeholder:"URL" required:"" help:"The URL that Twilio calls and signs."`
	Percent   int    `default:"10" placeholder:"N" help:"Share of callbacks to sign with the shared key, 1 to 100 (default ${default})."`
}

// Run prints them.
func (c *setupTwilio) Run(root *cli, t *terminal) error {
	if c.Percent < 1 || c.Percent > 100 {
		return usageError{errors.New("--percent: is not 1 to 100")}
	}
	if err := flagFault("--public-url", checkBaseURL(c.PublicURL)); err != nil {
		return usageError{err}
	}
	s := &secrets{lookup: t.lookup, file: root.file}
	sid := "AC..."
	if all := accounts(root.file, s); len(all) > 0 {
		sid = all[0].Sid
	}
	_, err := io.WriteString(t.out, doctor.SetupTwilio(sid, strings.TrimRight(c.PublicURL, "/"), c.Percent, time.Now()))
	return err
}
