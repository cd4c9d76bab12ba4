package main

import (
	"os"
	"testing"
)

// Not parallel: it changes the environment of the process.
func TestEmptyVariablesCountAsUnset(t *testing.T) {
	t.Setenv("GAVEL_ADMIN_LISTEN", "")
	t.Setenv("GAVEL_LISTEN", "127.0.0.1:1")
	t.Setenv("TWILIO_AUTH_TOKEN", "")
	t.Setenv("OTHER", "")
	unsetEmpty()
	for name, want := range map[string]bool{"GAVEL_ADMIN_LISTEN": false, "GAVEL_LISTEN": true, "TWILIO_AUTH_TOKEN": false, "OTHER": true} {
		if _, set := os.LookupEnv(name); set != want {
			t.Errorf("%s is set: %t, want %t", name, set, want)
		}
	}
}
