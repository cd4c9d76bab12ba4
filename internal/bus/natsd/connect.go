package natsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// oldestServer is the first version whose block compaction syncs to disk as configured (nats-server
// pull requests 8456 and 8475) and that can reset a consumer.
var oldestServer = [3]int{2, 14, 6}

const (
	// connectWithin bounds the first connection to an external NATS, so that
	// the order in which containers start does not matter.
	connectWithin = 30 * time.Second
	// reconnectWait is short because a leader moves within seconds. The library's
	// default, 60 tries 2 s apart, gives up after two minutes.
	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = 100 * time.Millisecond
	// pingEvery and pingsMissed detect a half-open connection within 15 s.
	pingEvery   = 5 * time.Second
	pingsMissed = 2
)

// Target is the NATS server to connect to.
type Target struct {
	// Server is the embedded server; nil means the external one below.
	Server *Server
	// URL of an external NATS, or several separated by commas.
	URL string
	// Credentials is the path of a NATS credentials file.
	Credentials string
	TLS         TLS
}

// TLS holds paths of PEM files. If all are empty, the URL's scheme decides.
type TLS struct{ CA, Cert, Key string }

// Dial connects, and reconnects until the connection is closed. It waits up to 30 s for an external server. Errors hold no credentials.
func (t Target) Dial(ctx context.Context, name string, log *slog.Logger) (*nats.Conn, error) {
	opts, err := t.options(log)
	if err != nil {
		return nil, err
	}
	return dial(ctx, t.URL, append(opts, nats.Name(name)))
}

// DialOnce connects to an external server that must answer now.
func (t Target) DialOnce(name string) (*nats.Conn, error) {
	if err := checkURLs(t.URL); err != nil {
		return nil, err
	}
	return nats.Connect(t.URL, append(t.secureOptions(), nats.Name(name), nats.NoReconnect())...)
}

// options returns the options of lasting connections. ReconnectBufSize -1 makes a publish fail
// while disconnected: a buffered one would be sent after its caller has got an error.
func (t Target) options(log *slog.Logger) ([]nats.Option, error) {
	opts := []nats.Option{
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(pingEvery),
		nats.MaxPingsOutstanding(pingsMissed),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if err != nil { // nil: this process closed it
				log.Warn("connection to NATS lost", "connection", nc.Opts.Name, "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("connection to NATS restored", "connection", nc.Opts.Name)
		}),
		nats.ErrorHandler(func(nc *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("NATS reported an error", "connection", nc.Opts.Name, "error", err)
		}),
	}
	if t.Server != nil {
		return append(opts, nats.InProcessServer(t.Server.Server), nats.Token(t.Server.token)), nil
	}
	return append(opts, t.secureOptions()...), checkURLs(t.URL)
}

func (t Target) secureOptions() []nats.Option {
	var opts []nats.Option
	if t.Credentials != "" {
		opts = append(opts, nats.UserCredentials(t.Credentials))
	}
	if t.TLS.CA != "" {
		opts = append(opts, nats.RootCAs(t.TLS.CA))
	}
	if t.TLS.Cert != "" || t.TLS.Key != "" {
		opts = append(opts, nats.ClientCert(t.TLS.Cert, t.TLS.Key))
	}
	return opts
}

// checkURLs finds a malformed URL before the library does: the library's error
// would contain the URL's password.
func checkURLs(urls string) error {
	for s := range strings.SplitSeq(urls, ",") {
		if u, err := url.Parse(strings.TrimSpace(s)); err != nil || u.Host == "" {
			return errors.New("connect to NATS: URL is not of the form nats://host:port")
		}
	}
	return nil
}

// WithoutSecrets drops the user part of a URL, which may be a token that neither
// the library nor net/url redacts.
func WithoutSecrets(connected string) string {
	u, err := url.Parse(connected)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}

// dial waits until the connection is established.
func dial(ctx context.Context, urls string, opts []nats.Option) (*nats.Conn, error) {
	up := make(chan struct{}, 1)
	opts = append(opts, nats.ConnectHandler(func(*nats.Conn) { up <- struct{}{} }))
	nc, err := nats.Connect(urls, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	select {
	case <-up:
		return nc, nil
	case <-ctx.Done():
		err := errors.Join(context.Cause(ctx), nc.LastError())
		nc.Close()
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
}

// CheckVersion refuses servers that are known to lose acknowledged messages.
func CheckVersion(version string) error {
	have, err := parseVersion(version)
	if err != nil {
		return fmt.Errorf("parse version %q of the NATS server: %w", version, err)
	}
	if slices.Compare(have[:], oldestServer[:]) < 0 {
		return fmt.Errorf("NATS server has version %s: upgrade it to %d.%d.%d or newer",
			version, oldestServer[0], oldestServer[1], oldestServer[2])
	}
	return nil
}

// parseVersion parses major.minor.patch and ignores a suffix after a hyphen.
func parseVersion(version string) (v [3]int, err error) {
	number, _, _ := strings.Cut(version, "-")
	parts := strings.Split(number, ".")
	if len(parts) != len(v) {
		return v, errors.New("not of the form major.minor.patch")
	}
	for i, p := range parts {
		if v[i], err = strconv.Atoi(p); err != nil {
			return v, err
		}
	}
	return v, nil
}
