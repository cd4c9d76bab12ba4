package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const lonelyCaller = `rules: [whole.yaml]
tests:
  - name: nobody comes
    timeline: [{at: 0s, event: participant-join, label: customer}]
    expect: [{at: 2m, rule: end-orphaned, do: end}]
`

func TestRulesTestPlaysTheExamples(t *testing.T) {
	t.Parallel()
	got := gavelSays(t, nil, "rules", "test", "../../examples/rules")
	if got.code != exitOK || got.err != "" || strings.Count(got.out, "ok  ") != 11 {
		t.Errorf("the examples: %+v", got)
	}
}

func TestRulesTestNamesFileAndLineOfWhatFails(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "whole.yaml"), wholeRule)
	right, wrong := filepath.Join(folder, "right_test.yaml"), filepath.Join(folder, "wrong_test.yaml")
	write(t, right, lonelyCaller)
	write(t, wrong, strings.Replace(lonelyCaller, "2m", "3m", 1))
	want := said{
		code: exitFailure,
		out: "ok    " + right + "  1 test\nFAIL  " + wrong + "  1 test\n\n" + wrong + ":5: nobody comes\n" +
			"      at    rule          do   conference  label  verdict\n" +
			"    + 2m0s  end-orphaned  end  room        -      would\n" +
			"    - 3m0s  end-orphaned  end\n\n",
		err: "gavel: rules test: 1 of 2 tests failed\n",
	}
	if diff := cmp.Diff(want, gavelSays(t, nil, "rules", "test", folder), cmp.AllowUnexported(said{})); diff != "" {
		t.Errorf("a test that fails (-want +got):\n%s", diff)
	}
}

func TestRulesTestOfFilesThatAreNone(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	faulty := filepath.Join(folder, "faulty_test.yaml")
	write(t, faulty, "rules: [missing.yaml]\ntests: [{name: x}]\n")
	for name, path := range map[string]string{
		"an empty folder":        t.TempDir(),
		"no file":                filepath.Join(folder, "none_test.yaml"),
		"rules that are missing": faulty,
		"no test file":           "rulestest.go",
	} {
		if got := gavelSays(t, nil, "rules", "test", path); got.code != exitFailure || got.err == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
