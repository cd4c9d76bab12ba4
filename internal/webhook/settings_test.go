package webhook_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/internal/twilio"
	"gavel/internal/webhook"
)

func TestAllFaultsOfTheSettingsAreReported(t *testing.T) {
	t.Parallel()
	s := webhook.Settings{
		Secrets: []twilio.Secret{
			firstSecret, "canary", "whsec_", "whsec_canary!", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz",
			"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=", twilio.Secret("whsec_" + strings.Repeat("QUJD", 22)),
		},
		Allow: []string{"pager.internal", "10.1.0.0/16", "::1", "10.1", "0x7f.1", "*.internal", "a:80", "https://a", "fe80::1%lo", "", "10.0.0.0/33"},
	}
	_, err := webhook.New(s, nil, nil)
	if err == nil {
		t.Fatal("accepted")
	}
	const secret, host = " is not whsec_ and base64 of 24 to 64 bytes", " is neither a host, an address nor a range like 10.1.0.0/16"
	want := "make webhooks: "
	for _, n := range []string{"2", "3", "4", "5", "6", "7"} {
		want += "webhooks.secret: number " + n + secret + "\n"
	}
	want += "webhooks.secret: there are 7, the most are 4"
	for _, n := range []string{"4", "5", "6", "7", "8", "9", "10", "11"} {
		want += "\nwebhooks.allow: number " + n + host
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if strings.Contains(err.Error(), "canary") {
		t.Error("the error contains a secret")
	}
}
