package redisstore

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// address is the location of Redis, parsed from a URL:
//
//	redis://user:password@host:6379/2
//	redis+sentinel://user:password@host1:26379,host2:26379/mymaster/2
//	redis+cluster://user:password@host1:6379,host2:6379
//	unix:///run/redis/redis.sock
//
// rediss, rediss+sentinel and rediss+cluster are the same over TLS. The default
// port is 6379, a Sentinel's 26379.
type address struct {
	hosts              []string
	username, password string
	db                 int
	master             string // behind Sentinel
	cluster, tls       bool
}

const (
	redisPort    = "6379"
	sentinelPort = "26379"
)

// parseAddress reads a URL. Its errors never repeat the URL, which may hold a password.
func parseAddress(text string) (address, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return address{}, errors.New("redis URL cannot be parsed")
	case u.RawQuery != "" || u.Fragment != "":
		return address{}, errors.New("redis URL has a query or a fragment, which are not supported")
	}
	a := address{username: u.User.Username()}
	a.password, _ = u.User.Password()
	kind, secure := strings.CutPrefix(u.Scheme, "rediss")
	a.tls = secure
	if !secure {
		kind = strings.TrimPrefix(u.Scheme, "redis")
	}
	switch kind {
	case "":
		err = a.single(u)
	case "+sentinel":
		err = a.sentinel(u)
	case "+cluster":
		err = a.many(u)
	case "unix":
		err = a.socket(u)
	default:
		err = errors.New("redis URL must begin with redis://, rediss://, redis+sentinel://, redis+cluster:// or unix://")
	}
	return a, err
}

func (a *address) single(u *url.URL) error {
	if err := a.setHosts(u.Host, redisPort); err != nil {
		return err
	}
	if len(a.hosts) > 1 {
		return errors.New("redis URL names several hosts; use redis+cluster:// or redis+sentinel://")
	}
	return a.setDB(strings.Trim(u.Path, "/"))
}

func (a *address) sentinel(u *url.URL) error {
	if err := a.setHosts(u.Host, sentinelPort); err != nil {
		return err
	}
	master, db, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if a.master = master; master == "" {
		return errors.New("redis URL names no master: redis+sentinel://host:26379/mymaster")
	}
	return a.setDB(db)
}

func (a *address) many(u *url.URL) error {
	if a.cluster = true; strings.Trim(u.Path, "/") != "" {
		return errors.New("redis URL names a database, but a Redis Cluster has only one")
	}
	return a.setHosts(u.Host, redisPort)
}

func (a *address) socket(u *url.URL) error {
	if u.Host != "" || !path.IsAbs(u.Path) {
		return errors.New("redis URL names no socket: unix:///run/redis/redis.sock")
	}
	a.hosts = []string{u.Path}
	return nil
}

func (a *address) setHosts(list, port string) error {
	for host := range strings.SplitSeq(list, ",") {
		if host == "" {
			return errors.New("redis URL names no host")
		}
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		a.hosts = append(a.hosts, host)
	}
	return nil
}

func (a *address) setDB(text string) error {
	if text == "" {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return fmt.Errorf("redis URL names a database that is not a number")
	}
	a.db = int(n)
	return nil
}
