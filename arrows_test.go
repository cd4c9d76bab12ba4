// Package gavel_test holds what the whole house promises: which package may
// know which, and that the documents speak of things that exist.
package gavel_test

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// pkg is what `go list -json` says of one package of ours.
type pkg struct {
	ImportPath string
	Imports    []string
}

// floors are the levels of the house, ground floor first. A package may import
// only packages of floors below its own.
var floors = [][]string{
	{"gavel/events"},
	{"gavel/projections"},
	{"gavel/projections/", "gavel/internal/"},
	{"gavel/rules/condition"},
	{"gavel/rules/schema"},
	{"gavel/rules"},
	{"gavel/internal/rulebook", "gavel/internal/brakes", "gavel/examples/rules"},
	{"gavel/handlers/"},
	{"gavel/cmd/", "gavel/bench", "gavel/failover", "gavel/crash"},
}

// guarded are modules that only one package may import.
var guarded = map[string]string{
	"github.com/ThreeDotsLabs/watermill": "gavel/internal/bus",
	"github.com/nats-io/":                "gavel/internal/bus",
	"github.com/alicebob/miniredis":      "gavel/projections/ministore",
	"cel.dev/cel-go":                     "gavel/rules/condition",
}

// roomless are names that say nothing about what is inside.
var roomless = []string{"pkg", "util", "utils", "common", "models", "types", "helpers"}

func TestArrowsRunOneWay(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if p.ImportPath == "gavel" {
			continue
		}
		own := floor(p.ImportPath)
		if own < 0 {
			t.Errorf("%s is on no floor: give it one in this test", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if !strings.HasPrefix(imported, "gavel/") {
				continue
			}
			switch below := floor(imported); {
			case below > own:
				t.Errorf("%s imports %s, which lies above it", p.ImportPath, imported)
			case below == own && isHandler(imported):
				t.Errorf("%s imports %s: handlers do not know each other", p.ImportPath, imported)
			case isHandler(p.ImportPath) && imported == "gavel/internal/bus":
				t.Errorf("%s imports the bus; declare the methods it needs and let cmd hand them over", p.ImportPath)
			}
		}
	}
}

func TestGuardedModulesStayBehindTheirDoor(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			for module, only := range guarded {
				if strings.HasPrefix(imported, module) && p.ImportPath != only {
					t.Errorf("%s imports %s; only %s may", p.ImportPath, imported, only)
				}
			}
		}
	}
}

func TestNoRoomWithoutAName(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, part := range strings.Split(p.ImportPath, "/") {
			if slices.Contains(roomless, part) {
				t.Errorf("%s: %q says nothing about what is inside", p.ImportPath, part)
			}
		}
	}
}

// floor returns the level of a package, or -1. The longest name wins.
func floor(path string) int {
	level, length := -1, 0
	for i, names := range floors {
		for _, name := range names {
			exact := path == name
			inside := strings.HasSuffix(name, "/") && strings.HasPrefix(path, name)
			if (exact || inside) && len(name) > length {
				level, length = i, len(name)
			}
		}
	}
	return level
}

func isHandler(path string) bool { return strings.HasPrefix(path, "gavel/handlers/") }

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
