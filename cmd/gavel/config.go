package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"gavel/internal/twilio"
	"gavel/internal/webhook"
	"gavel/rules"
)

// serverFlags are the settings of serve and doctor that are flags. Each is an
// environment variable too, and a key of gavel.yaml.
type serverFlags struct {
	Listen      string `default:"127.0.0.1:8080" env:"GAVEL_LISTEN" placeholder:"HOST:PORT" help:"Where HTTP is served (default ${default})."`
	AdminListen string `env:"GAVEL_ADMIN_LISTEN" placeholder:"HOST:PORT" help:"When set, everything but /twilio/* is served here."`
	PublicURL   string `env:"GAVEL_PUBLIC_URL" placeholder:"URL" help:"The URL that Twilio calls and signs (default http:// and --listen)."`
	DataDir     string `env:"GAVEL_DATA_DIR" placeholder:"DIR" help:"Where files are kept (default ./gavel-data; demo: a temporary one)."`
	NATS        string `name:"nats" default:"embedded" env:"GAVEL_NATS_URL" placeholder:"URL" help:"NATS server, 2.14.6 or newer, or embedded (default)."`
	NATSListen  string `name:"nats-listen" default:"127.0.0.1:4222" env:"GAVEL_NATS_LISTEN" placeholder:"HOST:PORT" help:"Where the embedded NATS can be reached, or off (default ${default})."`
	Sync        string `env:"GAVEL_SYNC" placeholder:"always|interval" help:"Embedded NATS: always survives a power cut, interval only a crash (default always). External: what its servers are set to (default interval)."`
	Redis       string `default:"embedded" env:"GAVEL_REDIS_URL" placeholder:"URL" help:"redis://, rediss://, redis+sentinel://, redis+cluster://, or embedded (default)."`
	Keep        string `env:"GAVEL_KEEP" placeholder:"AGE" help:"How long Redis keeps ended conferences: 30d, 13 months (default 30d embedded, 13 months external)."`
	Roles       string `default:"all" env:"GAVEL_ROLES" placeholder:"ROLES" help:"What this process does: door,project,act,serve,deliver (default all)."`
	Rules       string `env:"GAVEL_RULES" placeholder:"PATH" help:"A rule file, or a folder of them (default none)."`
	TwilioAPI   string `name:"twilio-api" default:"https://api.twilio.com" env:"GAVEL_TWILIO_API" placeholder:"URL" help:"Twilio's REST API (default ${default})."`
}

// defaultDataDir is where serve keeps its files and the CLI looks for the first
// key.
const defaultDataDir = "./gavel-data"

// embedded is the value of --nats and --redis that needs no server.
const embedded = "embedded"

// config is what a process is made from, checked.
type config struct {
	Listen      string
	AdminListen string // empty: all on Listen
	PublicURL   string // empty: made of the address that Listen became
	DataDir     string
	NATS        natsConfig
	Redis       redisConfig
	Keep        time.Duration
	Roles       roles
	TwilioAPI   string
	Rules       string       // empty: this process proposes none
	Presets     []rules.File // the demo's, in the place of Rules
	Accounts    []twilio.Account
	Speech      speech
	Webhooks    webhook.Settings
}

type natsConfig struct {
	URL             string
	Listen          string
	Sync            string
	Credentials     string
	TLS             tlsFiles
	Replicas        int
	Lanes           int
	JournalMaxBytes int64
}

func (n natsConfig) embedded() bool { return n.URL == embedded }

type redisConfig struct {
	URL      string
	TLS      tlsFiles
	Username string
	Password twilio.Secret
}

func (r redisConfig) embedded() bool { return r.URL == embedded }

// config puts flags and file together. Its error joins everything that is
// wrong, so that a person mends it in one go.
func (f serverFlags) config(file *settingsFile, lookup func(string) (string, bool)) (config, error) {
	s := &secrets{lookup: lookup}
	c := config{
		Listen:      f.Listen,
		AdminListen: f.AdminListen,
		PublicURL:   strings.TrimRight(f.PublicURL, "/"),
		DataDir:     firstOf(f.DataDir, defaultDataDir),
		TwilioAPI:   f.TwilioAPI,
		Rules:       f.Rules,
		NATS: natsConfig{
			URL:             f.NATS,
			Listen:          f.NATSListen,
			Sync:            f.Sync,
			Credentials:     file.NATS.Credentials,
			TLS:             file.NATS.TLS,
			Replicas:        file.NATS.Replicas,
			Lanes:           file.NATS.Lanes,
			JournalMaxBytes: file.NATS.JournalMaxBytes,
		},
		Redis: redisConfig{
			URL:      f.Redis,
			TLS:      file.Redis.TLS,
			Username: file.Redis.Username,
			Password: s.read(file.path+": redis.password", file.Redis.Password, file.Redis.PasswordFile),
		},
		Speech:   file.Door.Speech,
		Accounts: accounts(file, s),
		Webhooks: file.webhooks(s),
	}
	var keepFault, rolesFault error
	c.Keep, keepFault = parseAge(either(f.Keep != "", f.Keep, either(c.Redis.embedded(), "30d", "13 months")))
	if c.Roles, rolesFault = parseRoles(f.Roles); rolesFault != nil {
		c.Roles = allRoles // so that one mistake is not told as three
	}
	if len(c.Accounts) == 0 && len(s.faults) == 0 && c.Roles.has(roleDoor) {
		s.faults = append(s.faults, errNoAccount)
	}
	faults := append(s.faults, flagFault("--keep", keepFault), flagFault("--roles", rolesFault))
	if err := errors.Join(append(faults, c.Validate())...); err != nil {
		return config{}, usageError{fmt.Errorf("settings:\n%w", err)}
	}
	return c, nil
}

var errNoAccount = errors.New("accounts: there is none; set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or name accounts in gavel.yaml (`gavel demo` needs none)")

// Validate returns everything that is wrong with c, joined.
func (c config) Validate() error {
	return errors.Join(slices.Concat(
		c.addressFaults(), c.natsFaults(), c.redisFaults(), c.roleFaults(), c.accountFaults(), []error{c.Webhooks.Check()},
	)...)
}

func (c config) addressFaults() (faults []error) {
	faults = append(faults, flagFault("--listen", checkAddress(c.Listen)))
	if c.AdminListen != "" {
		faults = append(faults, flagFault("--admin-listen", checkAddress(c.AdminListen)))
	}
	if c.AdminListen == c.Listen && !strings.HasSuffix(c.Listen, ":0") {
		faults = append(faults, errors.New("--admin-listen: is the same address as --listen"))
	}
	if c.PublicURL != "" {
		faults = append(faults, flagFault("--public-url", checkBaseURL(c.PublicURL)))
	}
	return append(faults, flagFault("--twilio-api", checkBaseURL(c.TwilioAPI)))
}

// Bounds of numbers in gavel.yaml, as NATS has them or the lanes' shards do.
const (
	maxReplicas = 5
	maxLanes    = 64
	// minJournal is less than an hour of a small floor; anything below is a
	// unit forgotten.
	minJournal = 64 << 20
)

func (c config) natsFaults() (faults []error) {
	n := c.NATS
	if n.embedded() {
		if n.Listen != "off" {
			faults = append(faults, flagFault("--nats-listen", checkAddress(n.Listen)))
		}
		if n.Credentials != "" || n.TLS != (tlsFiles{}) || n.Replicas > 1 {
			faults = append(faults, errors.New("nats: credentials, tls and replicas are for an external server; set --nats"))
		}
	} else {
		faults = append(faults, flagFault("--nats", checkServers(n.URL, "nats", "tls", "ws", "wss")))
	}
	if n.Sync != "" && n.Sync != "always" && n.Sync != "interval" {
		faults = append(faults, errors.New("--sync: is neither always nor interval"))
	}
	if n.Replicas < 0 || n.Replicas > maxReplicas {
		faults = append(faults, fmt.Errorf("nats.replicas: %d is not 1 to %d", n.Replicas, maxReplicas))
	}
	if n.Lanes < 0 || n.Lanes > maxLanes {
		faults = append(faults, fmt.Errorf("nats.lanes: %d is not 1 to %d", n.Lanes, maxLanes))
	}
	if n.JournalMaxBytes != 0 && n.JournalMaxBytes < minJournal {
		faults = append(faults, fmt.Errorf("nats.journal_max_bytes: %d is less than %d", n.JournalMaxBytes, minJournal))
	}
	return append(faults, flagFault("nats.tls", n.TLS.check()))
}

func (c config) redisFaults() (faults []error) {
	r := c.Redis
	if r.embedded() {
		if r.Username != "" || r.Password != "" || r.TLS != (tlsFiles{}) {
			faults = append(faults, errors.New("redis: username, password and tls are for an external server; set --redis"))
		}
		return faults
	}
	schemes := []string{"redis", "rediss", "unix", "redis+sentinel", "redis+cluster", "rediss+sentinel", "rediss+cluster"}
	faults = append(faults, flagFault("--redis", checkServers(r.URL, schemes...)))
	return append(faults, flagFault("redis.tls", r.TLS.check()))
}

// roleFaults refuses roles that would wait for each other in vain: an embedded
// part is reached from this process alone.
func (c config) roleFaults() (faults []error) {
	if c.NATS.embedded() && !c.Roles.has(roleDoor) {
		faults = append(faults, errors.New("--roles: the embedded NATS gets its events from this process's door; add door, or set --nats"))
	}
	if c.Redis.embedded() && c.Roles.has(roleProject) != c.Roles.has(roleServe) {
		faults = append(faults, errors.New("--roles: the embedded Redis is filled by project and read by serve in one process; name both or neither, or set --redis"))
	}
	if c.Redis.embedded() && c.Roles.has(roleAct) && !c.Roles.has(roleProject) {
		faults = append(faults, errors.New("--roles: act reads the picture, and the embedded Redis is filled by project in one process; name project too, or set --redis"))
	}
	return faults
}

func (c config) accountFaults() []error {
	if len(c.Accounts) == 0 {
		return nil
	}
	_, err := twilio.NewAccounts(c.Accounts)
	return []error{err}
}

// accounts returns the file's accounts, or the environment's one where the
// file has none.
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
		s.fault("TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN", "one is set without the other")
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

// checkBaseURL accepts http and https URLs that paths can be put behind.
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

// checkServers accepts what begins with one of the schemes; the rest is for the
// client that knows it. Its error does not quote it: it may hold a password.
func checkServers(urls string, schemes ...string) error {
	scheme, rest, ok := strings.Cut(urls, "://")
	if !ok || rest == "" || !slices.Contains(schemes, scheme) {
		return fmt.Errorf("is neither %s nor a URL that begins with %s://", embedded, strings.Join(schemes, "://, "))
	}
	return nil
}

func (t tlsFiles) check() error {
	if (t.Cert == "") != (t.Key == "") {
		return errors.New("cert and key go together")
	}
	return nil
}
