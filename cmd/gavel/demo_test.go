package main

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/app"
	"gavel/internal/redistest"
)

// startNATS starts a NATS server with JetStream, as production has one.
func startNATS(t *testing.T) jetstream.JetStream {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server is not ready")
	}
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// The demo's rules are live and hasty. In a shell and a folder that are set up
// for production they must not reach the production servers.
func TestTheDemoLeavesTheServersOfTheSettingsAlone(t *testing.T) {
	t.Parallel()
	js, redis := startNATS(t), redistest.Start(t)
	folder := t.TempDir()
	data := filepath.Join(folder, "data")
	natsURL := js.Conn().ConnectedUrl()
	settings := "nats: {url: '" + natsURL + "', replicas: 1}\nredis: {url: '" + redis.URL() + "'}\nrules: rules\nroles: door\n"
	if err := os.WriteFile(filepath.Join(folder, defaultFile), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, binary(t), "demo", "--for", "2s", "--rate", "240", "--listen", "127.0.0.1:0", "--nats-listen", "off")
	command.Dir = folder
	command.Env = []string{
		"TMPDIR=" + t.TempDir(), "GAVEL_NATS_URL=" + natsURL, "GAVEL_REDIS_URL=" + redis.URL(), "GAVEL_DATA_DIR=" + data,
		"GAVEL_RULES=rules", "GAVEL_ROLES=door", "GAVEL_TWILIO_API=http://127.0.0.1:1", "GAVEL_SERVER=http://127.0.0.1:1",
		"GAVEL_API_KEY=a:b", "TWILIO_ACCOUNT_SID=" + testAccount, "TWILIO_AUTH_TOKEN=" + testToken,
	}
	out, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("demo: %v", err)
	}
	for _, want := range []string{
		"it ignores GAVEL_API_KEY, GAVEL_DATA_DIR, GAVEL_NATS_URL, GAVEL_REDIS_URL, GAVEL_ROLES, GAVEL_RULES, GAVEL_SERVER, " +
			"GAVEL_TWILIO_API, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, gavel.yaml.",
		"gavel: ready http=", "participant-join", "the presets of examples/rules, live", "ENDED BY", "conferences, ",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not shown in\n%s", want, out)
		}
	}
	for name := range js.StreamNames(t.Context()).Name() {
		t.Errorf("stream %s is on the server of the settings", name)
	}
	if keys := redis.Do("DBSIZE"); keys != ":0" {
		t.Errorf("the Redis of the settings has %s keys", keys)
	}
	if exists(data) {
		t.Error("the data directory of the settings was made")
	}
}

func TestTheDemoRefusesFlagsThatNameSomethingElse(t *testing.T) {
	t.Parallel()
	for flag, value := range map[string]string{
		"--nats": "nats://127.0.0.1:1", "--redis": "redis://127.0.0.1:1", "--rules": "rules", "--twilio-api": "http://127.0.0.1:1",
		"--public-url": "https://gavel.example.com", "--roles": "door", "--keep": "1d", "--sync": "interval",
		"--admin-listen": "127.0.0.1:0", "--config": "testdata/config/unknown-key.yaml",
	} {
		got := gavelSays(t, nil, "demo", flag, value)
		if got.code != exitUsage || !strings.Contains(got.err, flag) || !strings.Contains(got.err, "because its rules are live") {
			t.Errorf("demo %s: %+v", flag, got)
		}
	}
}

func TestTheDemoRefusesADataDirectoryThatIsNotADemos(t *testing.T) {
	t.Parallel()
	h := openHere(t, t.TempDir())
	h.sends("--name", "support-103")
	h.stop()
	before := tree(t, h.dataDir)
	got := gavelSays(t, nil, "demo", "--data-dir", h.dataDir, "--for", "1s")
	if got.code != exitFailure || !strings.Contains(got.err, h.dataDir+" holds files that are not a demo's") {
		t.Errorf("demo: %+v", got)
	}
	if diff := cmp.Diff(before, tree(t, h.dataDir)); diff != "" {
		t.Errorf("the data directory changed (-before +after):\n%s", diff)
	}
}

// tree is what a folder holds: of each file its size and when it was written.
func tree(t *testing.T, folder string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		found[path] = info.ModTime().Format(time.RFC3339Nano) + " " + info.Mode().String()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A demo may go on in its own folder. Nothing else starts there, and what keeps
// the demo from being shown is an error.
func TestADemosFolderIsTheDemosAlone(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "demo")
	demo := func() said {
		return gavelSays(t, nil, "demo", "--data-dir", folder, "--for", "100ms", "--listen", "127.0.0.1:0", "--nats-listen", "off")
	}
	for range 2 {
		if got := demo(); got.code != exitOK {
			t.Fatalf("demo: %+v", got)
		}
	}
	if got := gavelSays(t, oneAccount, serveArgs(folder, nil)...); got.code != exitFailure || !strings.Contains(got.err, "is a demo's") {
		t.Errorf("serve: %+v", got)
	}
	if err := os.WriteFile(filepath.Join(folder, app.KeyFile), []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := demo(); got.code != exitFailure || !strings.Contains(got.err, "read key: ") {
		t.Errorf("a demo without its key: %+v", got)
	}
}
