package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// settingsRows are about commands, settings and logs.
var settingsRows = []row{
	{"C4", "serve with gavel.yaml that has six faults", "2, 6 faults with their lines, 3 suggestions", func(w *world) string {
		text := "listn: 127.0.0.1:0\nkeep: [30d]\n" + accountSettings("auth_token: x\n    regions: [{region: ie1, apy: x}]") +
			"nats: {replicas: three}\nwebhooks: {http: maybe}\n"
		file := filepath.Join(w.temp(), "gavel.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			failf("write settings: %v", err)
		}
		code, out := w.runs("serve", "--config", file, "--data-dir", filepath.Join(w.temp(), "data"))
		return fmt.Sprintf("%d, %d faults with their lines, %d suggestions", code, strings.Count(out, "gavel.yaml:"), strings.Count(out, "did you mean"))
	}},
}
