package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"gavel/handlers/api"
	"gavel/handlers/callback"
	"gavel/internal/bus"
	"gavel/internal/twilio"
	"gavel/internal/webhook"
	"gavel/projections/redisstore"
	"gavel/rules"
)

// Embedded is the URL of a NATS or a Redis that runs in the process.
const Embedded = bus.Embedded

// Options are what a process is made from.
type Options struct {
	Listen      string // HOST:PORT
	AdminListen string // HOST:PORT for all but /twilio/*; empty: all on Listen
	PublicURL   string // what Twilio calls and signs, without a slash at the end; empty: made of the address that Listen became
	DataDir     string
	NATS        bus.Config // DataDir, AppendBudget and Metrics are set by New
	Redis       Redis
	// MemoryLimit is how many bytes the Go runtime may use; 0 means no limit. Caches follow it.
	MemoryLimit int64
	Keep        time.Duration // how long the picture keeps ended conferences
	Roles       Roles
	TwilioAPI   string // base URL of Twilio's REST API
	Rules       string // a rule file or a folder of them; empty: this process proposes none
	// Presets are the rules of a demo, instead of Rules. They come into force in
	// the embedded NATS of a demo's own data directory and nowhere else.
	Presets  []rules.File
	Accounts []twilio.Account
	Speech   callback.SpeechPolicy
	// ListDefault is the status that a list of conferences shows if its query names none; empty: all.
	ListDefault string
	// FetchEnded makes role act fetch each conference from Twilio once after its end.
	FetchEnded bool
	Webhooks   webhook.Settings

	// Wall is the machine's clock; nil: the real one. Tests set one that is wrong.
	Wall func() time.Time

	Log     *slog.Logger
	Version api.Version // of this binary; its NATS is replaced by the server's
	// Reload makes the process read its accounts and its rule files again, each
	// time it delivers. It may be nil.
	Reload <-chan os.Signal
	// ReadAccounts returns the accounts as the settings have them now.
	ReadAccounts func() ([]twilio.Account, error)
}

// Redis says which Redis holds the picture.
type Redis struct {
	URL      string // Embedded, or as redisstore.Options has it
	TLS      TLS
	Username string
	Password twilio.Secret
}

// Embedded reports whether the Redis runs in the process.
func (r Redis) Embedded() bool { return r.URL == Embedded }

// Options returns what redisstore needs to connect, with the TLS files read.
func (r Redis) Options() (redisstore.Options, error) {
	secured, err := r.TLS.config()
	if err != nil {
		return redisstore.Options{}, fmt.Errorf("redis.tls: %w", err)
	}
	return redisstore.Options{URL: r.URL, Username: r.Username, Password: r.Password.Reveal(), TLS: secured}, nil
}

// TLS are paths of PEM files.
type TLS struct{ CA, Cert, Key string }

// config reads the files. It returns nil if no file is set.
func (t TLS) config() (*tls.Config, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("read ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("read ca: the file holds no certificate")
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("read cert and key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Role is one of the jobs of a process.
type Role string

// The roles. Deliver does nothing yet; it is accepted so that a deployment can name
// it from the start.
const (
	Door    Role = "door"
	Project Role = "project"
	Act     Role = "act"
	Serve   Role = "serve"
	Deliver Role = "deliver"
)

// AllRoles are the roles of a process whose settings name none.
var AllRoles = Roles{Door, Project, Act, Serve, Deliver}

// Roles are the jobs of one process.
type Roles []Role

// Has reports whether r is one of the roles.
func (all Roles) Has(r Role) bool { return slices.Contains(all, r) }

// String returns the roles as ParseRoles reads them.
func (all Roles) String() string {
	names := make([]string, len(all))
	for i := range all {
		names[i] = string(all[i])
	}
	return strings.Join(names, ",")
}

// ParseRoles reads names separated by commas, or "all".
func ParseRoles(text string) (Roles, error) {
	if text == "all" {
		return AllRoles, nil
	}
	var chosen Roles
	for name := range strings.SplitSeq(text, ",") {
		one := Role(strings.TrimSpace(name))
		if !AllRoles.Has(one) {
			return nil, fmt.Errorf("%q is not one of %s", one, AllRoles)
		}
		if !chosen.Has(one) {
			chosen = append(chosen, one)
		}
	}
	return chosen, nil
}
