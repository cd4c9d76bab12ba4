package rules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"gavel/rules"
	"gavel/rules/rulestest"
)

// testdata/judge/*.txtar show what rules mean: each has rule files, and tests
// of them in the form that `gavel rules test` reads.
func TestStoriesLeadToTheirDecisions(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/judge/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories found: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			for _, failure := range play(t, file) {
				t.Error(failure)
			}
		})
	}
}

func play(t *testing.T, file string) []rulestest.Failure {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]string{}
	for _, part := range txtar.Parse(raw).Files {
		parts[part.Name] = string(part.Data)
	}
	tests, err := rulestest.Parse(file+"/tests.yaml", []byte(parts["tests.yaml"]))
	if err != nil {
		t.Fatal(err)
	}
	failures, err := tests.Run(t.Context(), func(names []string) (*rules.Set, error) {
		var all []rules.File
		for _, name := range names {
			all = append(all, rules.File{Name: name, Text: parts[name]})
		}
		return rules.Parse(all...)
	})
	if err != nil {
		t.Fatal(err)
	}
	return failures
}
