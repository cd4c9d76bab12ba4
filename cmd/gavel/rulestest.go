package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"gavel/cmd/gavel/render"
	"gavel/rules"
	"gavel/rules/rulestest"
)

// rulesTestCommand runs test files against the rules that they name.
type rulesTestCommand struct {
	Files []string `arg:"" placeholder:"FILE" help:"Test files, or folders with files that end in _test.yaml."`
}

// Run runs them.
func (c *rulesTestCommand) Run(ctx context.Context, t *terminal) error {
	files, err := testFiles(c.Files)
	if err != nil {
		return err
	}
	var tests, failed int
	for _, file := range files {
		tally, err := playTests(ctx, t, file)
		if err != nil {
			return err
		}
		tests, failed = tests+tally.tests, failed+tally.failed
	}
	if failed > 0 {
		return fmt.Errorf("rules test: %d of %s failed", failed, render.Plural(tests, "test"))
	}
	return nil
}

// testTally counts the tests of one file.
type testTally struct{ tests, failed int }

// playTests runs the tests of one file and prints the result.
func playTests(ctx context.Context, t *terminal, path string) (testTally, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return testTally{}, fmt.Errorf("read tests of rules: %w", err)
	}
	file, err := rulestest.Parse(path, text)
	if err != nil {
		return testTally{}, err
	}
	failures, err := file.Run(ctx, func(names []string) (*rules.Set, error) { return rulesBeside(path, names) })
	if err != nil {
		return testTally{}, err
	}
	result := "ok  "
	if len(failures) > 0 {
		result = "FAIL"
	}
	fmt.Fprintf(t.out, "%s  %s  %s\n", result, path, render.Plural(len(file.Tests), "test"))
	for _, f := range failures {
		fmt.Fprintf(t.out, "\n%s\n", f)
	}
	return testTally{len(file.Tests), len(failures)}, nil
}

// rulesBeside reads the rule files that a test file names, relative to its folder.
func rulesBeside(path string, names []string) (*rules.Set, error) {
	var files []rules.File
	for _, name := range names {
		read, err := rules.ReadFiles(filepath.Join(filepath.Dir(path), name))
		if err != nil {
			return nil, err
		}
		files = append(files, read...)
	}
	return rules.Parse(files...)
}

// testFiles returns the named files, and the test files in the named folders.
func testFiles(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("find tests of rules: %w", err)
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		found, err := filepath.Glob(filepath.Join(path, "*_test.y*ml"))
		if err != nil {
			return nil, fmt.Errorf("find tests of rules: %w", err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("find tests of rules in %s: no file ends in _test.yaml", path)
		}
		files = append(files, found...)
	}
	return files, nil
}
