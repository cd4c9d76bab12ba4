// Package redisstore keeps the picture in a Redis: one server, one behind
// Sentinel, or a Redis Cluster.
//
// Package picture defines the steps; this package executes them. Every write is a script that
// checks its conditions before it changes anything (change.lua), one per shard, all shards of a
// batch in one pipeline. The store does not expect Redis to be durable: it detects lost data, and
// the picture is filled again from the journal.
//
// Reading order: redisstore.go (opening), address.go (the URL), engine.go (the
// commands), change.lua; examine.go (the server's state for gavel doctor).
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
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"gavel/events"
	"gavel/projections"
	"gavel/projections/internal/picture"
)

const (
	// readTime bounds a read with all its tries: a person waits for the answer. Without a deadline
	// a read of a stopped Redis took 25 s, because each of three tries waits for a connection and
	// then for the answer.
	readTime = 3 * time.Second
	// dialTimeout, ioTimeout: a Redis that needs longer is treated as unreachable. They are the
	// limits of a projector's writes, which have no deadline and are tried again.
	dialTimeout = 2 * time.Second
	ioTimeout   = 5 * time.Second
	// retries and the pauses between them bridge a lost connection, not a lost server: the
	// projector claims the lane again by itself. Every write is compared, so repeating one is safe.
	retries    = 2
	retryPause = 50 * time.Millisecond
	// topologyEvery is the age at which the client reloads its map of a Cluster. The client does
	// not reload it when a pipeline finds a master gone (go-redis 9.23), and by default does so
	// only once a minute: a failover would last that long.
	topologyEvery = 2 * time.Second

	// pipelineBuffer holds a large part of a batch of 500 records, so that the
	// batch is not sent in many small writes.
	pipelineBuffer = 256 << 10
)

// oldest is the Redis version this package needs: ZRANGE has BYSCORE and REV since 6.2.
const oldest = "6.2"

// Options are the address of a Redis and how to connect to it.
type Options struct {
	// URL is redis://, rediss://, redis+sentinel://, redis+cluster://, their
	// TLS forms rediss+..., or unix:// (address.go).
	URL string
	// Username and Password are used if the URL has none.
	Username, Password string
	// TLS is used if the URL requires TLS; a value that is not nil enables TLS for other URLs too.
	TLS *tls.Config
	// Lanes is the number of lanes of the journal.
	Lanes int
	Log   *slog.Logger
}

// Info is what Open read from the server.
type Info struct {
	// Version is the server's ("7.0.15"), "" if it was unreachable.
	Version string
	// Warnings are settings that an operator should change, one sentence each.
	Warnings []string
}

// Store is a [projections.Store] on a Redis.
type Store struct {
	*picture.Store
	info Info
}

var _ projections.Store = (*Store)(nil)

// Open reads the server's state and returns a store. An unreachable server is a warning, not an
// error: the store returns the network's error until the server answers, and then checks what it
// holds. Refused credentials, an untrusted certificate, and a version that is too old are errors.
func Open(ctx context.Context, o Options) (*Store, error) {
	a, err := parseAddress(o.URL)
	if err != nil {
		return nil, fmt.Errorf("open redis: %w", err)
	}
	// The client writes to stderr what it also returns as errors.
	logging.Disable()
	client := newClient(a.options(o))
	s := &Store{}
	if s.info, err = readInfo(ctx, client); err == nil {
		s.Store, err = picture.New(newEngine(client), o.Lanes, o.Log)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open redis: %w", err), client.Close())
	}
	return s, nil
}

// Info returns what Open found.
func (s *Store) Info() Info { return s.info }

// within gives a read its time. Only a deadline ends one in progress: go-redis does not notice that
// its context was cancelled.
func within[T any](ctx context.Context, read func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	return read(ctx)
}

// Conference implements [projections.Reader].
func (s *Store) Conference(ctx context.Context, key events.Key) (projections.Stored, error) {
	return within(ctx, func(ctx context.Context) (projections.Stored, error) { return s.Store.Conference(ctx, key) })
}

// Conferences implements [projections.Reader].
func (s *Store) Conferences(ctx context.Context, account string, q projections.Query) (projections.Page, error) {
	return within(ctx, func(ctx context.Context) (projections.Page, error) { return s.Store.Conferences(ctx, account, q) })
}

// Accounts implements [projections.Reader].
func (s *Store) Accounts(ctx context.Context) ([]string, error) { return within(ctx, s.Store.Accounts) }

// Armed implements [projections.Reader].
func (s *Store) Armed(ctx context.Context, account string, most int) ([]projections.Due, error) {
	return within(ctx, func(ctx context.Context) ([]projections.Due, error) { return s.Store.Armed(ctx, account, most) })
}

// newClient returns the client for one server, Sentinel or Cluster.
func newClient(u *redis.UniversalOptions) redis.UniversalClient {
	if !u.IsClusterMode {
		return redis.NewUniversalClient(u)
	}
	cluster := u.Cluster()
	cluster.ClusterStateReloadInterval = topologyEvery
	return redis.NewClusterClient(cluster)
}

// options returns the client's settings.
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

		// Pipelines have a pool of their own, because only they need these buffers. A pipeline
		// that finds it full uses the other pool; readTime bounds both waits.
		PipelineReadBufferSize:  pipelineBuffer,
		PipelineWriteBufferSize: pipelineBuffer,

		// RESP 3 adds pushed messages, which the client checks for before every
		// reply; this package uses none.
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

// readInfo reads the state of every server that holds keys. The error is one that
// an operator must correct.
func readInfo(ctx context.Context, client redis.UniversalClient) (info Info, err error) {
	states, err := readStates(ctx, client)
	for _, s := range states {
		if err := info.add(s); err != nil {
			return info, err
		}
	}
	if isAway(err) && ctx.Err() == nil {
		info.warnf("Redis is unreachable: %v", err)
		err = nil
	}
	return info, err
}

// isAway reports whether the server did not answer, or is still starting. Other
// errors need an operator.
func isAway(err error) bool {
	if answer := redis.Error(nil); errors.As(err, &answer) {
		return redis.HasErrorPrefix(err, "LOADING") || redis.HasErrorPrefix(err, "CLUSTERDOWN")
	}
	return err != nil && !errors.As(err, new(*tls.CertificateVerificationError))
}

// masters calls fn for every server that holds keys.
func masters(ctx context.Context, client redis.UniversalClient, fn func(context.Context, redis.Cmdable) error) error {
	if c, ok := client.(*redis.ClusterClient); ok {
		return c.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return fn(ctx, c) })
	}
	return fn(ctx, client)
}

func (i *Info) add(s ServerState) error {
	if i.Version = s.Version; s.TooOld {
		return fmt.Errorf("server is Redis %s, %s or newer is needed", s.Version, oldest)
	}
	if s.Policy != "" && s.Policy != "noeviction" {
		i.warnf("maxmemory-policy is %s: a full Redis drops records, and the picture is wrong or has to be filled again; set noeviction", s.Policy)
	}
	return nil
}

// warnf adds a sentence once, even if several masters cause it.
func (i *Info) warnf(format string, args ...any) {
	if w := fmt.Sprintf(format, args...); !slices.Contains(i.Warnings, w) {
		i.Warnings = append(i.Warnings, w)
	}
}

// older compares versions number by number; a part that is not a number counts as 0.
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
