package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

const natsModule = "github.com/nats-io/nats-server/v2"

// natsConfig is the configuration of a nats-server used by one measurement. With syncAlways the
// server syncs every message to disk before it acknowledges it, as the power-safe door does.
const (
	natsConfig = `listen: "127.0.0.1:-1"
max_payload: 2MB
jetstream { store_dir: %q %s }
`
	syncAlways  = ", sync_interval: always"
	syncDefault = ""
)

var natsListens = regexp.MustCompile(`Listening for client connections on (\S+)`)

// runPeer loads what a Twilio user writes today (peer/server.mjs), with its own nats-server.
func runPeer(ctx context.Context, shop *workshop) (_ figure, err error) {
	nats, stopNATS, err := startNATS(ctx, shop, syncAlways)
	if err != nil {
		return figure{}, err
	}
	defer join(&err, stopNATS)
	cmd := exec.CommandContext(ctx, "node", "server.mjs")
	if cmd.Dir, err = shop.peer(ctx); err != nil {
		return figure{}, err
	}
	cmd.Env = append(os.Environ(), "NODE_ENV=production",
		"NATS_URL=nats://"+nats, "TWILIO_AUTH_TOKEN="+authToken, "PUBLIC_URL="+publicURL)
	server, err := start(ctx, sidePeer, readyLine, cmd)
	if err != nil {
		return figure{}, err
	}
	defer join(&err, server.stop)
	return loadOnly(ctx, shop, server.ready)
}

// startNATS starts a nats-server on its own store and returns its address.
func startNATS(ctx context.Context, shop *workshop, sync string) (addr string, stop func() error, err error) {
	binary, err := shop.build(ctx, "nats-server", natsModule)
	if err != nil {
		return "", nil, err
	}
	dir, remove, err := shop.tempDir("nats")
	if err != nil {
		return "", nil, err
	}
	config := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, natsConfig, dir, sync), 0o600); err != nil {
		return "", nil, fmt.Errorf("write %s: %w", config, err)
	}
	server, err := start(ctx, "nats-server", natsListens, exec.CommandContext(ctx, binary, "-c", config))
	if err != nil {
		return "", nil, err
	}
	return server.ready, func() (err error) {
		defer join(&err, remove)
		return server.stop()
	}, nil
}

// peer installs the peer's packages if they are missing, and returns its directory.
func (s *workshop) peer(ctx context.Context) (string, error) {
	dir := filepath.Join(s.root, "bench", "peer")
	installed := filepath.Join(dir, "node_modules", ".package-lock.json")
	if _, err := os.Stat(installed); err == nil {
		return dir, nil
	}
	if err := s.run(ctx, dir, "npm", "ci", "--no-audit", "--no-fund"); err != nil {
		return "", fmt.Errorf("install the peer's packages: %w", err)
	}
	return dir, nil
}
