package app_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gavel/app"
	"gavel/internal/bus"
	"gavel/internal/redistest"
	"gavel/internal/twilio"
	"gavel/rules"
)

// options are those of a process that reaches nothing outside itself.
func options(t *testing.T) app.Options {
	t.Helper()
	return app.Options{
		Listen:    "127.0.0.1:0",
		DataDir:   filepath.Join(t.TempDir(), "data"),
		NATS:      bus.Config{URL: app.Embedded},
		Redis:     app.Redis{URL: app.Embedded},
		Keep:      time.Hour,
		Roles:     app.AllRoles,
		TwilioAPI: "http://127.0.0.1:1",
		Accounts: []twilio.Account{{
			Sid: "AC25e16e9a716a4a8617a7c83f58e30482", Tokens: twilio.KeyRing{Current: "12345abcdef67890fedcba0987654321"},
		}},
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

func TestAProcessRunsInAnother(t *testing.T) {
	t.Parallel()
	a, err := app.New(t.Context(), options(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.AwaitReady(t.Context()); err != nil {
		t.Error(err)
	}
	url := "http://" + a.Info().Public
	for path, want := range map[string]int{"/readyz": http.StatusOK, "/metrics": http.StatusOK, "/twilio/conference": http.StatusForbidden} {
		response, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: %d %s, want %d", path, response.StatusCode, text, want)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := a.Run(ctx); err != nil {
		t.Errorf("run: %v", err)
	}
	if _, err := http.Get(url + "/healthz"); err == nil {
		t.Error("it answers after its end")
	}
}

// A part of the caller's that fails ends the process, with the part's error.
func TestAPartThatFailsEndsTheProcess(t *testing.T) {
	t.Parallel()
	a, err := app.New(t.Context(), options(t))
	if err != nil {
		t.Fatal(err)
	}
	a.Go("clock", func(context.Context) error { return io.ErrUnexpectedEOF })
	if err := a.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "clock: unexpected EOF") {
		t.Errorf("run: %v", err)
	}
}

// A demo's rules are live. A server that other processes may use is refused
// before anything is written there.
func TestPresetsAreForEmbeddedServersOnly(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	for name, change := range map[string]func(*app.Options){
		"nats":  func(o *app.Options) { o.NATS.URL = "nats://127.0.0.1:1" },
		"redis": func(o *app.Options) { o.Redis.URL = redis.URL() },
	} {
		o := options(t)
		o.Presets = []rules.File{}
		change(&o)
		if _, err := app.New(t.Context(), o); err == nil || !strings.Contains(err.Error(), "only with an embedded NATS and an embedded Redis") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if keys := redis.Do("DBSIZE"); keys != ":0" {
		t.Errorf("Redis has %s keys", keys)
	}
}

// The snapshot of the embedded picture is written at the stop and used at the next start; without
// it, or with a damaged one, the process starts as well.
func TestTheEmbeddedPictureOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	o := options(t)
	var warnings strings.Builder
	o.Log = slog.New(slog.NewTextHandler(&warnings, &slog.HandlerOptions{Level: slog.LevelWarn}))
	runOnce := func() {
		t.Helper()
		warnings.Reset()
		a, err := app.New(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.AwaitReady(t.Context()); err != nil {
			t.Error(err)
		}
		if err := a.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	const notUsed = "snapshot not used"
	runOnce()
	path := filepath.Join(o.DataDir, "picture")
	first, err := os.ReadFile(path)
	if err != nil || strings.Contains(warnings.String(), notUsed) {
		t.Fatalf("after the first run: %v\n%s", err, &warnings)
	}
	runOnce()
	if strings.Contains(warnings.String(), notUsed) {
		t.Errorf("the second run did not use the snapshot:\n%s", &warnings)
	}
	if err := os.WriteFile(path, first[:len(first)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	runOnce()
	if !strings.Contains(warnings.String(), notUsed) {
		t.Errorf("the third run did not report the damaged snapshot:\n%s", &warnings)
	}
	runOnce()
	if strings.Contains(warnings.String(), notUsed) {
		t.Errorf("the fourth run did not use the new snapshot:\n%s", &warnings)
	}
}
