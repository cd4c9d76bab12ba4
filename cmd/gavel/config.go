package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"gavel/app"
	"gavel/internal/bus"
	"gavel/internal/twilio"
)

// serverFlags are the settings of serve and doctor that are flags. Each is also an
// environment variable and a key of gavel.yaml.
type serverFlags struct {
	Listen      string `default:"127.0.0.1:8080" env:"GAVEL_LISTEN" placeholder:"HOST:PORT" help:"Where HTTP is served (default ${default})."`
	AdminListen string `env:"GAVEL_ADMIN_LISTEN" placeholder:"HOST:PORT" help:"If set, everything except /twilio/* is served here."`
	PublicURL   string `env:"GAVEL_PUBLIC_URL" placeholder:"URL" help:"The URL that Twilio calls and signs (default http:// and --listen)."`
	DataDir     string `env:"GAVEL_DATA_DIR" placeholder:"DIR" help:"Data directory (default ./gavel-data)."`
	NATS        string `name:"nats" default:"embedded" env:"GAVEL_NATS_URL" placeholder:"URL" help:"NATS server, 2.14.6 or newer, or embedded (default)."`
	NATSListen  string `name:"nats-listen" default:"127.0.0.1:4222" env:"GAVEL_NATS_LISTEN" placeholder:"HOST:PORT" help:"Where the embedded NATS can be reached, or off (default ${default})."`
	Sync        string `env:"GAVEL_SYNC" placeholder:"always|interval" help:"Embedded NATS: always survives a power cut, interval only a crash (default always). External: the setting of its servers (default interval)."`
	Redis       string `default:"embedded" env:"GAVEL_REDIS_URL" placeholder:"URL" help:"redis://, rediss://, redis+sentinel://, redis+cluster://, or embedded (default)."`
	Keep        string `env:"GAVEL_KEEP" placeholder:"AGE" help:"How long Redis keeps ended conferences: 30d, 13 months (default 30d embedded, 13 months external)."`
	Roles       string `default:"all" env:"GAVEL_ROLES" placeholder:"ROLES" help:"What this process does: door,project,act,serve,deliver (default all)."`
	Rules       string `env:"GAVEL_RULES" placeholder:"PATH" help:"A rule file, or a folder of them (default none)."`
	TwilioAPI   string `name:"twilio-api" default:"https://api.twilio.com" env:"GAVEL_TWILIO_API" placeholder:"URL" help:"Twilio's REST API (default ${default})."`
}

// defaultDataDir is where serve keeps its files and commands read the first key.
const defaultDataDir = "./gavel-data"

// config merges flags and file. Its error joins all faults, so that a person can
// fix them in one go.
func (f serverFlags) config(file *settingsFile, lookup func(string) (string, bool)) (app.Options, error) {
	s := &secrets{lookup: lookup, file: file}
	o := app.Options{
		Listen:      f.Listen,
		AdminListen: f.AdminListen,
		PublicURL:   strings.TrimRight(f.PublicURL, "/"),
		DataDir:     cmp.Or(f.DataDir, defaultDataDir),
		TwilioAPI:   f.TwilioAPI,
		Rules:       f.Rules,
		NATS: bus.Config{
			URL:             f.NATS,
			Listen:          f.NATSListen,
			Sync:            bus.Sync(f.Sync),
			Credentials:     file.NATS.Credentials,
			TLS:             bus.TLS(file.NATS.TLS),
			Replicas:        file.NATS.Replicas,
			Lanes:           file.NATS.Lanes,
			JournalMaxBytes: file.NATS.JournalMaxBytes,
		},
		Redis: app.Redis{
			URL:      f.Redis,
			TLS:      app.TLS(file.Redis.TLS),
			Username: file.Redis.Username,
			Password: s.read("redis.password", file.Redis.Password, file.Redis.PasswordFile),
		},
		Speech: file.Door.Speech.SpeechPolicy,

		ListDefault: file.REST.ListDefault.status(),
		FetchEnded:  file.Act.FetchEnded == nil || *file.Act.FetchEnded,
		Accounts:    accounts(file, s),
		Webhooks:    file.webhooks(s),
	}
	var keepFault, rolesFault error
	o.Keep, keepFault = parseAge(either(f.Keep != "", f.Keep, either(o.Redis.Embedded(), "30d", "13 months")))
	if o.Roles, rolesFault = app.ParseRoles(f.Roles); rolesFault != nil {
		o.Roles = app.AllRoles // so that one mistake is not reported as three
	}
	if len(o.Accounts) == 0 && len(s.faults) == 0 && o.Roles.Has(app.Door) {
		s.faults = append(s.faults, errNoAccount)
	}
	faults := append(s.faults, flagFault("--keep", keepFault), flagFault("--roles", rolesFault))
	faults = append(faults, checkOptions(o))
	if err := errors.Join(append(faults, accountFaults(o.Accounts, s)...)...); err != nil {
		return app.Options{}, usageError{fmt.Errorf("settings:\n%w", err)}
	}
	return o, nil
}

var errNoAccount = errors.New("accounts: not set; set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or name accounts in gavel.yaml (`gavel demo` needs none)")

// checkOptions returns all faults of the options except those of accounts, joined.
func checkOptions(o app.Options) error {
	return errors.Join(slices.Concat(
		addressFaults(o), natsFaults(o.NATS), redisFaults(o.Redis), roleFaults(o), []error{o.Webhooks.Check()},
	)...)
}

func addressFaults(o app.Options) (faults []error) {
	faults = append(faults, flagFault("--listen", checkAddress(o.Listen)))
	if o.AdminListen != "" {
		faults = append(faults, flagFault("--admin-listen", checkAddress(o.AdminListen)))
	}
	if o.AdminListen == o.Listen && !strings.HasSuffix(o.Listen, ":0") {
		faults = append(faults, errors.New("--admin-listen: is the same address as --listen"))
	}
	if o.PublicURL != "" {
		faults = append(faults, flagFault("--public-url", checkPublicURL(o.PublicURL)))
	}
	return append(faults, flagFault("--twilio-api", checkBaseURL(o.TwilioAPI)))
}

// minJournal, in bytes, is less than an hour of a small call floor. A lower number
// probably lacks its unit.
const minJournal = 64 << 20

func natsFaults(n bus.Config) (faults []error) {
	if n.URL == app.Embedded {
		if n.Listen != bus.ListenOff {
			faults = append(faults, flagFault("--nats-listen", checkAddress(n.Listen)))
		}
		if n.Credentials != "" || n.TLS != (bus.TLS{}) || n.Replicas > 1 {
			faults = append(faults, errors.New("nats: credentials, tls and replicas are for an external server; set --nats"))
		}
	} else {
		faults = append(faults, flagFault("--nats", checkServers(n.URL, "nats", "tls", "ws", "wss")))
	}
	if n.Sync != "" && n.Sync != bus.SyncAlways && n.Sync != bus.SyncInterval {
		faults = append(faults, errors.New("--sync: must be always or interval"))
	}
	if n.Replicas < 0 || n.Replicas > bus.MaxReplicas {
		faults = append(faults, fmt.Errorf("nats.replicas: %d is not 1 to %d", n.Replicas, bus.MaxReplicas))
	}
	if n.Lanes < 0 || n.Lanes > bus.MaxLanes {
		faults = append(faults, fmt.Errorf("nats.lanes: %d is not 1 to %d", n.Lanes, bus.MaxLanes))
	}
	if n.JournalMaxBytes != 0 && n.JournalMaxBytes < minJournal {
		faults = append(faults, fmt.Errorf("nats.journal_max_bytes: %d is less than %d", n.JournalMaxBytes, minJournal))
	}
	return append(faults, flagFault("nats.tls", tlsFiles(n.TLS).check()))
}

func redisFaults(r app.Redis) (faults []error) {
	if r.Embedded() {
		if r.Username != "" || r.Password != "" || r.TLS != (app.TLS{}) {
			faults = append(faults, errors.New("redis: username, password and tls are for an external server; set --redis"))
		}
		return faults
	}
	schemes := []string{"redis", "rediss", "unix", "redis+sentinel", "redis+cluster", "rediss+sentinel", "rediss+cluster"}
	faults = append(faults, flagFault("--redis", checkServers(r.URL, schemes...)))
	return append(faults, flagFault("redis.tls", tlsFiles(r.TLS).check()))
}

// roleFaults refuses roles that would wait for each other forever: only this
// process can reach an embedded part.
func roleFaults(o app.Options) (faults []error) {
	if o.NATS.URL == app.Embedded && !o.Roles.Has(app.Door) {
		faults = append(faults, errors.New("--roles: the embedded NATS gets its events from this process's door; add door, or set --nats"))
	}
	if o.Redis.Embedded() && o.Roles.Has(app.Project) != o.Roles.Has(app.Serve) {
		faults = append(faults, errors.New("--roles: the embedded Redis is filled by project and read by serve in one process; name both or neither, or set --redis"))
	}
	if o.Redis.Embedded() && o.Roles.Has(app.Act) && !o.Roles.Has(app.Project) {
		faults = append(faults, errors.New("--roles: act reads the picture, and the embedded Redis is filled by project in one process; name project too, or set --redis"))
	}
	return faults
}

// accountFaults returns the faults of accounts, with the line of an account that is in the file. A
// secret that could not be read is a fault already, so that it is missing is none.
func accountFaults(accounts []twilio.Account, s *secrets) (faults []error) {
	if len(accounts) == 0 {
		return nil
	}
	_, err := twilio.NewAccounts(accounts)
	for _, fault := range twilio.Faults(err) {
		of := (*twilio.AccountError)(nil)
		if !errors.As(fault, &of) || len(s.file.Accounts) == 0 {
			faults = append(faults, fmt.Errorf("accounts: %w", fault))
			continue
		}
		key := fmt.Sprintf("accounts[%d]", of.Index)
		if !errors.Is(fault, twilio.ErrNoSecret) || !s.faulty(key) {
			faults = append(faults, fmt.Errorf("%s: %s: %w", s.file.where(key), key, of.Err))
		}
	}
	return faults
}

// accounts returns the accounts of the file, or the one of the environment if the
// file names no account.
func accounts(file *settingsFile, s *secrets) []twilio.Account {
	if len(file.Accounts) > 0 {
		return file.accounts(s)
	}
	sid, hasSid := s.lookup("TWILIO_ACCOUNT_SID")
	token, hasToken := s.lookup("TWILIO_AUTH_TOKEN")
	if !hasSid && !hasToken {
		return nil
	}
	if hasSid != hasToken {
		s.faults = append(s.faults, errors.New("TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN: one is set without the other"))
		return nil
	}
	return []twilio.Account{{Sid: sid, Tokens: twilio.KeyRing{Current: twilio.Secret(token)}}}
}

func flagFault(flag string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", flag, err)
}

func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT", address)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return fmt.Errorf("%q has no usable port", address)
	}
	return nil
}

// checkPublicURL also accepts a user name and password, which a proxy may require from Twilio.
func checkPublicURL(public string) error {
	plain, _ := twilio.WithoutUser(public)
	return checkBaseURL(plain)
}

// checkBaseURL accepts http and https URLs that a path can be appended to.
func checkBaseURL(base string) error {
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("is not http://HOST or https://HOST")
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return errors.New("must not have a user, a query or a fragment")
	}
	return nil
}

// checkServers accepts URLs that begin with one of the schemes; the client library
// checks the rest. The error does not quote them: they may hold a password.
func checkServers(urls string, schemes ...string) error {
	scheme, rest, ok := strings.Cut(urls, "://")
	if !ok || rest == "" || !slices.Contains(schemes, scheme) {
		return fmt.Errorf("is neither %s nor a URL that begins with %s://", app.Embedded, strings.Join(schemes, "://, "))
	}
	return nil
}

func (t tlsFiles) check() error {
	if (t.Cert == "") != (t.Key == "") {
		return errors.New("cert and key must be set together")
	}
	return nil
}
