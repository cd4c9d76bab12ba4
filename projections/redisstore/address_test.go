package redisstore

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]address{
		"redis://localhost":                 {hosts: []string{"localhost:6379"}},
		"redis://:pass@[::1]/2":             {hosts: []string{"[::1]:6379"}, password: "pass", db: 2},
		"rediss://gavel:p%40ss@redis:6380/": {hosts: []string{"redis:6380"}, username: "gavel", password: "p@ss", tls: true},
		"unix:///run/redis.sock":            {hosts: []string{"/run/redis.sock"}},
		"redis+sentinel://a,b:1/main/3": {
			hosts: []string{"a:26379", "b:1"}, master: "main", db: 3,
		},
		"rediss+cluster://u:p@a,b:1": {
			hosts: []string{"a:6379", "b:1"}, username: "u", password: "p", cluster: true, tls: true,
		},
	} {
		got, err := parseAddress(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(address{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestParseAddressRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":                     "",
		"another scheme":              "http://:secret@localhost",
		"no host":                     "redis://:secret@/1",
		"an empty host":               "redis+cluster://:secret@a,,b",
		"several hosts":               "redis://:secret@a,b",
		"a database by name":          "redis://:secret@a/main",
		"a cluster's database":        "redis+cluster://:secret@a/1",
		"a sentinel without a master": "redis+sentinel://:secret@a",
		"a socket with a host":        "unix://:secret@a/b.sock",
		"settings in the query":       "redis://:secret@a?pool_size=9",
		"not a URL":                   "redis://:secret@a:port:port",
	} {
		_, err := parseAddress(text)
		if err == nil {
			t.Errorf("%s is accepted", name)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error holds the password: %v", name, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, text := range []string{
		"redis://u:p@h:1/2", "rediss+cluster://a,b:1", "redis+sentinel://[::1]:1,b/m/0", "unix:///a", "redis://%zz",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseAddress(text)
		if err == nil && (len(a.hosts) == 0 || a.hosts[0] == "") {
			t.Errorf("%q is accepted and names no host", text)
		}
	})
}

func TestInfoWarnsAboutSettings(t *testing.T) {
	t.Parallel()
	var info Info
	if err := info.add(parseState("redis_version:6.0.16\r\n")); err == nil {
		t.Error("a server that is too old is accepted")
	}
	info = Info{}
	text := "# Server\r\nredis_version:7.2\r\n\r\n# Memory\r\nmaxmemory_policy:allkeys-lru\r\n"
	for range 2 {
		if err := info.add(parseState(text)); err != nil {
			t.Fatal(err)
		}
	}
	if info.Version != "7.2" || len(info.Warnings) != 1 || !strings.Contains(info.Warnings[0], "allkeys-lru") {
		t.Errorf("got %+v, want one warning about allkeys-lru", info)
	}
}
