package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"gavel/app"
	"gavel/cmd/gavel/render"
	"gavel/handlers/api"
	"gavel/internal/rulebook"
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
func (c *rulesCheckCommand) Run(root *cli, t *terminal) error {
	if c.Schema {
		_, err := t.out.Write(schema.JSON())
		return err
	}
	check := rulebook.CheckStorable
	if root.Config != "" {
		options, err := serveOptions(root)
		if err != nil {
			return err
		}
		c.Path = cmp.Or(c.Path, options.Rules)
		check = func(set *rules.Set) error { return app.CheckRules(set, options) }
	}
	if c.Path == "" {
		return usageError{errors.New("rules check: name a rule file, or a folder of them")}
	}
	set, err := readRules(c.Path, t.err)
	if err == nil {
		err = printedFaults(t.err, c.Path, check(set))
	}
	if err != nil {
		return fmt.Errorf("rules check: %w", err)
	}
	printFaults(t.err, c.Path, set.Advice)
	fmt.Fprintf(t.out, "%s: %s in %s, version %s\n", c.Path, render.Plural(len(set.Rules), "rule"), render.Plural(len(set.Files), "file"), set.Version)
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
	if err = printedFaults(w, path, err); err != nil {
		return nil, err
	}
	return set, nil
}

// printedFaults prints an error that is a list of faults, and returns how many there are instead.
func printedFaults(w io.Writer, path string, err error) error {
	var faults schema.Faults
	if !errors.As(err, &faults) {
		return err
	}
	printFaults(w, path, faults)
	return fmt.Errorf("%s found", render.Plural(len(faults), "fault"))
}

// serveOptions returns the options that serve would have with the same settings file and environment.
func serveOptions(root *cli) (app.Options, error) {
	serve := &cli{terminal: root.terminal}
	parser, err := serve.parser(func(int) {})
	if err == nil {
		_, err = parser.Parse([]string{"serve", "--config", root.Config})
	}
	if err != nil {
		return app.Options{}, usageError{err}
	}
	options, err := serve.Serve.config(serve.file, serve.terminal.lookup)
	options.PublicURL = cmp.Or(options.PublicURL, "http://"+ownAddress(options.Listen))
	return options, err
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

// rulesStatusCommand shows which rules are in force, and their state.
type rulesStatusCommand struct{ clientFlags }

// Run shows them.
func (c *rulesStatusCommand) Run(ctx context.Context, t *terminal) error {
	return request[api.RuleStatus]{path: "rules", text: func(w io.Writer, s api.RuleStatus) error {
		return render.Status(w, s, time.Now())
	}}.run(ctx, c.clientFlags, t)
}

// rulesArmedCommand lists the pending deadlines.
type rulesArmedCommand struct {
	clientFlags
	Account string `placeholder:"SID" help:"Only this account."`
	Limit   int    `default:"50" help:"At most this many, up to 200 (default ${default})."`
}

// Run lists them.
func (c *rulesArmedCommand) Run(ctx context.Context, t *terminal) error {
	return request[api.DeadlineList]{
		path:  "armed",
		query: queryOf(map[string]string{"account": c.Account, "limit": strconv.Itoa(c.Limit)}),
		json:  func(armed api.DeadlineList) any { return armed.Deadlines },
		text: func(w io.Writer, armed api.DeadlineList) error {
			if len(armed.Deadlines) > 0 {
				return render.Armed(w, armed.Deadlines)
			}
			return request[api.RuleStatus]{path: "rules", text: nothingArmed}.run(ctx, c.clientFlags, t)
		},
	}.run(ctx, c.clientFlags, t)
}

// nothingArmed prints why the list is empty.
func nothingArmed(w io.Writer, status api.RuleStatus) error {
	words := "nothing is armed"
	if status.InForce == nil {
		words = render.NoRules
	}
	_, err := fmt.Fprintln(w, words)
	return err
}

// rulesResetCommand lets a tripped rule act again.
type rulesResetCommand struct {
	clientFlags
	Rule   string `arg:"" help:"The rule's name."`
	Reason string `required:"" placeholder:"TEXT" help:"Why the rule may act again; the rule's brakes keep it."`
}

// Run resets it.
func (c *rulesResetCommand) Run(ctx context.Context, t *terminal) error {
	return request[done]{
		method: http.MethodPost,
		path:   "rules/" + url.PathEscape(c.Rule) + "/reset",
		body:   because{c.Reason},
		json:   didTo("reset", c.Rule),
		text:   sentence("rule " + c.Rule + " may act again"),
	}.run(ctx, c.clientFlags, t)
}
