// Package gavel_test checks what the whole repository promises: which package
// may import which, and that the documents name things that exist.
package gavel_test

import (
	"encoding/json"
	"go/ast"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// pkg is the part of `go list -json` for one package of this module that the tests need.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string // all dependencies, direct and indirect
}

// floors are the levels of the packages, lowest first. A package may import
// only packages of lower levels.
var floors = [][]string{
	{"gavel/events"},
	{"gavel/projections"},
	{"gavel/projections/", "gavel/internal/"},
	{"gavel/rules/condition"},
	{"gavel/rules/schema"},
	{"gavel/rules"},
	{"gavel/internal/rulebook", "gavel/internal/brakes", "gavel/examples/rules", "gavel/lanes"},
	{"gavel/rules/rulestest", "gavel/views"},
	{"gavel/handlers/"},
	{"gavel/app"},
	{"gavel/cmd/", "gavel/bench", "gavel/failover", "gavel/failover/"},
}

// onBus are the packages that may depend, directly or indirectly, on the bus
// and on the modules of NATS. The others can be tested and used without NATS.
var onBus = []string{
	"gavel/internal/bus", "gavel/internal/bus/", "gavel/internal/doctor",
	"gavel/app", "gavel/cmd/", "gavel/bench", "gavel/failover",
}

// busModules are what the other packages must not depend on.
var busModules = []string{"gavel/internal/bus", "github.com/nats-io/", "github.com/ThreeDotsLabs/watermill"}

// guarded are modules that only one package, or the packages inside it, may import.
var guarded = map[string]string{
	"github.com/ThreeDotsLabs/watermill": "gavel/internal/bus",
	"github.com/nats-io/":                "gavel/internal/bus",
	"cel.dev/cel-go":                     "gavel/rules/condition",
}

// roomless are package names that do not describe their contents.
var roomless = []string{"pkg", "util", "utils", "common", "models", "types", "helpers"}

func TestImportsRunOneWay(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if p.ImportPath == "gavel" {
			continue
		}
		own := floor(p.ImportPath)
		if own < 0 {
			t.Errorf("%s has no level: add it to floors in this test", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if !strings.HasPrefix(imported, "gavel/") {
				continue
			}
			switch below := floor(imported); {
			case below > own:
				t.Errorf("%s imports %s, which has a higher level", p.ImportPath, imported)
			case below == own && isHandler(imported):
				t.Errorf("%s imports %s: handlers must not import each other", p.ImportPath, imported)
			}
		}
	}
}

func TestOnlyTheProcessDependsOnTheBus(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if slices.ContainsFunc(onBus, func(name string) bool { return covers(name, p.ImportPath) }) {
			continue
		}
		for _, dependency := range p.Deps {
			if slices.ContainsFunc(busModules, func(module string) bool { return strings.HasPrefix(dependency, module) }) {
				t.Errorf("%s depends on %s: declare the methods that it needs and let the process pass them", p.ImportPath, dependency)
				break
			}
		}
	}
}

func TestGuardedModulesAreImportedByOnePackage(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			for module, only := range guarded {
				if strings.HasPrefix(imported, module) && p.ImportPath != only && !covers(only+"/", p.ImportPath) {
					t.Errorf("%s imports %s; only %s may", p.ImportPath, imported, only)
				}
			}
		}
	}
}

// Only the operator's files bring rules into force: rulefiles.go proposes
// those. rules.go proposes a demo's rules, in the demo's own NATS.
func TestOnlyRuleFilesProposeRules(t *testing.T) {
	t.Parallel()
	proposing := map[string]bool{}
	files, _ := productFiles(t)
	for _, f := range files {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if method, ok := call.Fun.(*ast.SelectorExpr); ok && method.Sel.Name == "Propose" {
					proposing[f.path] = true
				}
			}
			return true
		})
	}
	same(t, "files that propose rules", map[string]bool{"app/rulefiles.go": true, "app/rules.go": true}, proposing)
}

// A file that is written in place is empty after a power cut, so the product writes files through
// internal/wholefile. The lock of the data directory has no content.
func TestOnlyOneHelperWritesFiles(t *testing.T) {
	t.Parallel()
	writing := map[string]bool{}
	files, _ := productFiles(t)
	for _, f := range files {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if from, ok := call.X.(*ast.Ident); ok && from.Name == "os" &&
				slices.Contains([]string{"WriteFile", "Create", "CreateTemp", "OpenFile"}, call.Sel.Name) {
				writing[f.path] = true
			}
			return true
		})
	}
	same(t, "files that write files", map[string]bool{"internal/wholefile/wholefile.go": true, "internal/bus/natsd/disk_unix.go": true}, writing)
}

func TestPackageNamesDescribeTheirContents(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, part := range strings.Split(p.ImportPath, "/") {
			if slices.Contains(roomless, part) {
				t.Errorf("%s: %q does not describe the contents", p.ImportPath, part)
			}
		}
	}
}

// floor returns the level of a package, or -1. The longest matching name wins.
func floor(path string) int {
	level, length := -1, 0
	for i, names := range floors {
		for _, name := range names {
			if covers(name, path) && len(name) > length {
				level, length = i, len(name)
			}
		}
	}
	return level
}

// covers reports whether a name of the tables above matches a package: the package's own name, or
// with a slash at its end the name of a folder that contains it.
func covers(name, path string) bool {
	return path == name || strings.HasSuffix(name, "/") && strings.HasPrefix(path, name)
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
