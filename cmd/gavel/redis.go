package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"gavel/projections"
	"gavel/projections/redisstore"
)

// openRedis opens the picture in an external Redis.
func (a *app) openRedis(ctx context.Context) (projections.Store, error) {
	secured, err := a.Redis.TLS.config()
	if err != nil {
		return nil, fmt.Errorf("redis.tls: %w", err)
	}
	log := a.log.With("component", "store")
	store, err := redisstore.Open(ctx, redisstore.Options{
		URL:      a.Redis.URL,
		Username: a.Redis.Username,
		Password: a.Redis.Password.Reveal(),
		TLS:      secured,
		Lanes:    a.bus.Info().Lanes,
		Log:      log,
	})
	if err != nil {
		return nil, err
	}
	for _, warning := range store.Info().Warnings {
		log.Warn(warning)
	}
	return store, nil
}

// config reads the files, or is nil when there are none.
func (t tlsFiles) config() (*tls.Config, error) {
	if t == (tlsFiles{}) {
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
