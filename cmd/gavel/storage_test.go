package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// smallNATS is a NATS server that stores a few megabytes, and whose stream OTHER
// takes what is published to the subject other.
func smallNATS(t *testing.T) (url string, js nats.JetStreamContext) {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), JetStreamMaxStore: 64 << 20, NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("NATS did not start")
	}
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err = conn.JetStream()
	if err == nil {
		_, err = js.AddStream(&nats.StreamConfig{Name: "OTHER", Subjects: []string{"other"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return s.ClientURL(), js
}

func TestADoorWithoutStorageSaysSoAtOnceUntilThereIsSome(t *testing.T) {
	t.Parallel()
	url, js := smallNATS(t)
	settings := filepath.Join(t.TempDir(), "gavel.yaml")
	write(t, settings, "nats: {replicas: 1}\n")
	h := openHere(t, t.TempDir(), "--nats", url, "--config", settings)
	if got := h.sends("--name", "before"); got.code != exitOK {
		t.Fatalf("with storage: %+v", got)
	}
	for full := error(nil); full == nil; {
		_, full = js.Publish("other", make([]byte, 512<<10), nats.RetryAttempts(0))
	}

	start := time.Now()
	got := h.sends("--name", "meanwhile")
	if took := time.Since(start); got.code == exitOK || !strings.Contains(got.out, "503 Service Unavailable") || took > 5*time.Second {
		t.Errorf("without storage, after %v: %+v", took, got)
	}
	for _, path := range []string{"/readyz", "/readyz/door"} {
		if status, body := h.get(path); status != http.StatusServiceUnavailable || !strings.Contains(string(body), "no storage left") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}

	if err := js.DeleteStream("OTHER"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if status, body := h.get("/readyz/door"); status != http.StatusOK {
			return fmt.Sprintf("the door is not ready again: %s", body)
		}
		return ""
	})
	if got := h.sends("--name", "after"); got.code != exitOK {
		t.Errorf("with storage again: %+v", got)
	}
}
