package twilio_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gavel/internal/twilio"
)

func TestSecretNeverPrints(t *testing.T) {
	t.Parallel()
	const canary = "canary"
	ring := twilio.KeyRing{Current: canary, Next: canary}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v"} {
		fmt.Fprintf(&out, verb+"\n", twilio.Secret(canary), ring)
	}
	fmt.Fprintln(&out, ring, &ring, []twilio.Secret{canary})
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("x", "secret", twilio.Secret(canary), "ring", ring)
	}
	if err := json.NewEncoder(&out).Encode(ring); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) {
		t.Errorf("the secret is printed:\n%s", text)
	}
	if twilio.Secret(canary).Reveal() != canary {
		t.Error("the secret is lost")
	}
}
