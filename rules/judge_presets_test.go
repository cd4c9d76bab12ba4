package rules_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gavel/rules"
	"gavel/rules/rulestest"
)

// Each preset has a test file, and all tests pass, live and in shadow.
func TestPresetsPassTheirTestsLiveAndInShadow(t *testing.T) {
	t.Parallel()
	const folder = "../examples/rules"
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files in %s, want ten presets and their tests: %v", len(files), folder, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.yaml") {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			tests := strings.TrimSuffix(file, ".yaml") + "_test.yaml"
			if !slices.Contains(files, tests) {
				t.Fatalf("no %s", tests)
			}
			runTests(t, tests, rules.Shadow)
			runTests(t, tests, rules.Live)
		})
	}
}

func runTests(t *testing.T, file string, mode rules.Mode) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tests, err := rulestest.Parse(file, text)
	if err != nil {
		t.Fatal(err)
	}
	failures, err := tests.Run(t.Context(), func(names []string) (*rules.Set, error) {
		return inMode(t, filepath.Dir(file), names, mode), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range failures {
		t.Errorf("in mode %s:\n%s", mode, f)
	}
}

func inMode(t *testing.T, folder string, names []string, mode rules.Mode) *rules.Set {
	t.Helper()
	var files []rules.File
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, rules.File{Name: name, Text: string(text)})
	}
	set, err := rules.Parse(files...)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range set.Rules {
		r.Mode = mode
	}
	return set
}
