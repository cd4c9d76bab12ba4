package redisstore_test

import (
	"strings"
	"testing"
	"time"

	"gavel/internal/redistest"
	"gavel/projections/redisstore"
)

func TestExaminationOfAServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru", "--appendonly", "yes")
	found, err := redisstore.Examine(t.Context(), redisstore.Options{URL: server.URL()})
	if err != nil || len(found) != 1 {
		t.Fatalf("%d servers: %v", len(found), err)
	}
	s := found[0]
	if s.Version == "" || s.TooOld || s.Policy != "allkeys-lru" || s.Max != 64<<20 || s.Used == 0 || !s.AppendOnly || s.SaveFailed {
		t.Errorf("the server is %+v", s)
	}
	if s.Within == 0 || s.Ahead.Abs() > s.Within+time.Second {
		t.Errorf("our own clock is %v ± %v ahead", s.Ahead, s.Within)
	}
}

func TestExaminationOfACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	found, err := redisstore.Examine(t.Context(), redisstore.Options{URL: cluster.URL()})
	if err != nil || len(found) < 2 {
		t.Errorf("%d servers: %v", len(found), err)
	}
}

func TestAUserWithoutTIMEIsExamined(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "gavel", "on", ">secret", "~*", "+@all", "-time")
	found, err := redisstore.Examine(t.Context(), redisstore.Options{URL: server.URL(), Username: "gavel", Password: "secret"})
	if err != nil || len(found) != 1 || found[0].Version == "" || found[0].Within != 0 {
		t.Errorf("%+v: %v", found, err)
	}
}

func TestErrorsOfAnExaminationHoldNoSecret(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", "another")
	for _, url := range []string{"redis://:secret@127.0.0.1:1", "redis://:secret@" + server.Addr(), "redis+sentinel://:secret@"} {
		_, err := redisstore.Examine(t.Context(), redisstore.Options{URL: url})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("examined %s: %v", url, err)
		}
	}
}
