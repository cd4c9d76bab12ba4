package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"gavel/rules"
	"gavel/rules/schema"
)

// rulesCommand is about rules: check and test read files and ask nobody, the
// others ask a running Gavel.
type rulesCommand struct {
	Check  rulesCheckCommand  `cmd:"" help:"Say all that is wrong with rule files."`
	Test   rulesTestCommand   `cmd:"" help:"Play calls against rules, and compare what they decide."`
	Status rulesStatusCommand `cmd:"" help:"Show the rules in force and how they fare."`
	Armed  rulesArmedCommand  `cmd:"" help:"List the deadlines of rules that run down now."`
	Reset  rulesResetCommand  `cmd:"" help:"Let a rule act again that has tripped."`
}

// rulesCheckCommand reads rule files as serve would.
type rulesCheckCommand struct {
	Path   string `arg:"" optional:"" help:"A rule file, or a folder of them."`
	Schema bool   `help:"Print the JSON Schema of rule files instead, for editors."`
}

// Help is the longer help text.
func (rulesCheckCommand) Help() string {
	return `Every fault is said at once, with file, line, column and rule, as a compiler would; the exit code is 1 when there is one. Conditions are compiled, type-checked and bounded in what they cost. In a folder all files that end in .yaml or .yml are one set, but for those that end in _test.yaml.

Examples:
  gavel rules check rules/
  gavel rules check --schema > rules.schema.json`
}

// Run checks, or prints the schema.
func (c *rulesCheckCommand) Run(t *terminal) error {
	if c.Schema {
		_, err := t.out.Write(schema.JSON())
		return err
	}
	if c.Path == "" {
		return usageError{errors.New("rules check: name a rule file, or a folder of them")}
	}
	set, err := readRules(c.Path, t.err)
	if err != nil {
		return fmt.Errorf("rules check: %w", err)
	}
	fmt.Fprintf(t.out, "%s: %s in %s, version %s\n", c.Path, plural(len(set.Rules), "rule"), plural(len(set.Files), "file"), set.Version)
	return nil
}

// readRules reads a set; faults go to w, a line each, with the path as it was
// given, so that terminals and editors find the place.
func readRules(path string, w io.Writer) (*rules.Set, error) {
	files, err := rules.ReadFiles(path)
	if err != nil {
		return nil, err
	}
	set, err := rules.Parse(files...)
	var faults schema.Faults
	if !errors.As(err, &faults) {
		return set, err
	}
	folder := path
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		folder = filepath.Dir(path)
	}
	for _, f := range faults {
		f.File = filepath.Join(folder, f.File)
		fmt.Fprintln(w, f)
	}
	return nil, fmt.Errorf("%s found", plural(len(faults), "fault"))
}
