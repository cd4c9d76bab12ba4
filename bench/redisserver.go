package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"regexp"
)

var redisListens = regexp.MustCompile(`Ready to accept connections`)

// redisServer is a running redis-server for one measurement, without snapshots
// and without an append-only file: the picture is disposable.
type redisServer struct {
	*child
	addr   string
	remove func() error
}

func startRedis(ctx context.Context, shop *workshop) (*redisServer, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir, remove, err := shop.tempDir("redis")
	if err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(addr)
	cmd := exec.CommandContext(ctx, "redis-server",
		"--bind", host, "--port", port, "--dir", dir,
		"--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction")
	server, err := start(ctx, "redis-server", redisListens, cmd)
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	return &redisServer{server, addr, remove}, nil
}

func (r *redisServer) stop() (err error) {
	defer join(&err, r.remove)
	return r.child.stop()
}

// url returns the address in the form of Gavel's setting.
func (r *redisServer) url() string { return "redis://" + r.addr }

// freeAddress finds a port for redis-server, which cannot choose one itself.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
