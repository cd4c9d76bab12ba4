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

// rulesCommand checks, tests and shows rules. check and test only read files; the
// others send requests to a running Gavel.
type rulesCommand struct {
	Check  rulesCheckCommand  `cmd:"" help:"Report all faults of rule files."`
	Test   rulesTestCommand   `cmd:"" help:"Play callbacks against rules, and compare their decisions."`
	Status rulesStatusCommand `cmd:"" help:"Show the rules in force and their state."`
	Armed  rulesArmedCommand  `cmd:"" help:"List the pending deadlines of rules."`
	Reset  rulesResetCommand  `cmd:"" help:"Let a tripped rule act again."`
}

// rulesCheckCommand reads rule files as serve would.
type rulesCheckCommand struct {
	Path   string `arg:"" optional:"" help:"A rule file, or a folder of them."`
	Schema bool   `help:"Print the JSON Schema of rule files instead, for editors."`
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
	printFaults(t.err, c.Path, set.Advice)
	fmt.Fprintf(t.out, "%s: %s in %s, version %s\n", c.Path, plural(len(set.Rules), "rule"), plural(len(set.Files), "file"), set.Version)
	return nil
}

// readRules reads a set. It writes each fault as a line to w, with the path as it
// was given, so that terminals and editors can open the place.
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
	printFaults(w, path, faults)
	return nil, fmt.Errorf("%s found", plural(len(faults), "fault"))
}

// printFaults writes faults, or warnings, of the files at that path.
func printFaults(w io.Writer, path string, faults schema.Faults) {
	folder := path
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		folder = filepath.Dir(path)
	}
	for _, f := range faults {
		f.File = filepath.Join(folder, f.File)
		fmt.Fprintln(w, f)
	}
}
