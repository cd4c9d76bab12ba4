// Package redisstore keeps the picture in a Redis: one server, one behind
// Sentinel, or a Redis Cluster.
//
// The steps are those of the picture; this package carries them out. Every
// write is a script that checks its conditions before it changes anything
// (change.lua), one per shard, all shards of a batch in one pipeline. Nothing
// here expects Redis to be durable: what it forgets is noticed and filled from
// the journal.
//
// Reading order: redisstore.go (opening), address.go (what a URL may say),
// engine.go (the commands), change.lua; examine.go (what a doctor asks).
package redisstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"gavel/projections"
	"gavel/projections/internal/picture"
)

const (
	// dialTimeout, ioTimeout: a Redis that takes longer is treated as away;
	// whoever waits has a deadline of seconds (Twilio gives a callback 15 s).
	dialTimeout = 2 * time.Second
	ioTimeout   = 5 * time.Second
	// retries and the pauses between them bridge a restart or a failover of a
	// connection, not of a server: the projector takes the lane over again by
	// itself. Every write is compared, so repeating one is safe.
	retries    = 2
	retryPause = 50 * time.Millisecond
	// topologyEvery is how old the client's map of a Cluster may become. It does
	// not look at it anew when a pipeline finds a master gone (go-redis 9.23),
	// and by itself only once a minute: so long a failover would last.
	topologyEvery = 2 * time.Second

	// pipelineBuffer holds a good part of a batch of 500 records, so that it
	// is not sent in crumbs.
	pipelineBuffer = 256 << 10
)

// oldest is the Redis version this package needs: ZRANGE with BYSCORE and REV
// is of 6.2.
const oldest = "6.2"

// Options say which Redis and how.
type Options struct {
	// URL is redis://, rediss://, redis+sentinel://, redis+cluster://, their
	// TLS forms rediss+..., or unix:// (address.go).
	URL string
	// Username and Password are used where the URL has none.
	Username, Password string
	// TLS is used where the URL asks for TLS, and turns it on where it is not
	// nil.
	TLS *tls.Config
	// Lanes is the number of lanes of the journal.
	Lanes int
	Log   *slog.Logger
}

// Info is what was found at the other end.
type Info struct {
	// Version is the server's ("7.0.15"), "" when it was away.
	Version string
	// Warnings are settings that a person should change, one sentence each.
	Warnings []string
}

// Store is a [projections.Store] on a Redis.
type Store struct {
	*picture.Store
	info Info
}

var _ projections.Store = (*Store)(nil)

// Open looks at the server and returns a store. A server that is away is no
// error but a warning: the store answers with the network's error until it
// comes, and finds out then what it holds. Refused credentials, a certificate
// that nobody vouches for, and a server too old are errors.
func Open(ctx context.Context, o Options) (*Store, error) {
	a, err := parseAddress(o.URL)
	if err != nil {
		return nil, fmt.Errorf("open redis: %w", err)
	}
	// The client tells stderr what it also returns as errors.
	logging.Disable()
	client := newClient(a.options(o))
	s := &Store{}
	if s.info, err = look(ctx, client); err == nil {
		s.Store, err = picture.New(newEngine(client), o.Lanes, o.Log)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open redis: %w", err), client.Close())
	}
	return s, nil
}

// Info returns what Open found.
func (s *Store) Info() Info { return s.info }

// newClient makes the client for one server, Sentinel or Cluster.
func newClient(u *redis.UniversalOptions) redis.UniversalClient {
	if !u.IsClusterMode {
		return redis.NewUniversalClient(u)
	}
	cluster := u.Cluster()
	cluster.ClusterStateReloadInterval = topologyEvery
	return redis.NewClusterClient(cluster)
}

// options are the client's settings.
func (a address) options(o Options) *redis.UniversalOptions {
	u := &redis.UniversalOptions{
		Addrs:         a.hosts,
		DB:            a.db,
		MasterName:    a.master,
		IsClusterMode: a.cluster,
		Username:      o.Username,
		Password:      o.Password,
		TLSConfig:     o.TLS,

		DialTimeout:           dialTimeout,
		ReadTimeout:           ioTimeout,
		WriteTimeout:          ioTimeout,
		ContextTimeoutEnabled: true,
		MaxRetries:            retries,
		MinRetryBackoff:       retryPause,
		DialerRetries:         1,

		PipelineReadBufferSize:  pipelineBuffer,
		PipelineWriteBufferSize: pipelineBuffer,

		// RESP 3 adds pushed messages, for which the client looks before every
		// reply; nothing here asks for any.
		Protocol:        2,
		ClientName:      "gavel",
		DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled, // for Redis Enterprise only
		},
	}
	if a.username != "" || a.password != "" {
		u.Username, u.Password = a.username, a.password
	}
	if a.tls && u.TLSConfig == nil {
		u.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return u
}

// look asks every master who it is.
func look(ctx context.Context, client redis.UniversalClient) (Info, error) {
	var mu sync.Mutex
	var info Info
	err := masters(ctx, client, func(ctx context.Context, c redis.Cmdable) error {
		text, err := c.Info(ctx).Result()
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		return info.read(text)
	})
	if isAway(err) && ctx.Err() == nil {
		info.warnf("Redis is away: %v", err)
		err = nil
	}
	return info, err
}

// isAway reports whether nobody answered, or only that it is starting. What a
// person has to mend is something else.
func isAway(err error) bool {
	var answer redis.Error
	var tooOld *versionError
	var untrusted *tls.CertificateVerificationError
	switch {
	case err == nil, errors.As(err, &tooOld), errors.As(err, &untrusted):
		return false
	case errors.As(err, &answer):
		return redis.HasErrorPrefix(err, "LOADING") || redis.HasErrorPrefix(err, "CLUSTERDOWN")
	}
	return true
}

// versionError says that the server is older than this package needs.
type versionError struct{ version string }

func (e *versionError) Error() string {
	return fmt.Sprintf("server is Redis %s, need %s or newer", e.version, oldest)
}

// masters calls fn for every server that holds keys.
func masters(ctx context.Context, client redis.UniversalClient, fn func(context.Context, redis.Cmdable) error) error {
	if c, ok := client.(*redis.ClusterClient); ok {
		return c.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return fn(ctx, c) })
	}
	return fn(ctx, client)
}

// read takes in the text of INFO.
func (i *Info) read(text string) error {
	values := infoValues(text)
	i.Version = values["redis_version"]
	if older(i.Version, oldest) {
		return &versionError{i.Version}
	}
	if policy := values["maxmemory_policy"]; policy != "" && policy != "noeviction" {
		i.warnf("maxmemory-policy is %s: a full Redis drops records, and the picture is wrong or filled anew; set noeviction", policy)
	}
	return nil
}

// warnf adds a sentence; several masters say the same one once.
func (i *Info) warnf(format string, args ...any) {
	if w := fmt.Sprintf(format, args...); !slices.Contains(i.Warnings, w) {
		i.Warnings = append(i.Warnings, w)
	}
}

// older compares versions number by number; what is no number counts as 0.
func older(version, than string) bool {
	v, t := strings.Split(version, "."), strings.Split(than, ".")
	for i := range t {
		var have int
		if i < len(v) {
			have, _ = strconv.Atoi(v[i])
		}
		want, _ := strconv.Atoi(t[i])
		if have != want {
			return have < want
		}
	}
	return false
}
