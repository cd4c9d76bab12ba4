package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"gavel/internal/twilio"
)

// cli is the command tree.
type cli struct {
	Config string `help:"Settings file. Flags and environment override it (default gavel.yaml, if it exists)." placeholder:"FILE" env:"GAVEL_CONFIG"`

	Serve       serveCommand       `cmd:"" help:"Receive callbacks and answer queries about conferences."`
	Demo        demoCommand        `cmd:"" help:"Run everything in one process, with a stand-in Twilio and its call floor."`
	Twilio      twilioCommand      `cmd:"" help:"Run the stand-in Twilio as a separate server."`
	Send        sendCommand        `cmd:"" help:"Sign and send a callback, as Twilio does."`
	Tail        tailCommand        `cmd:"" help:"Follow events as they arrive."`
	Conferences conferencesCommand `cmd:"" help:"List and show conferences."`
	Keys        keysCommand        `cmd:"" help:"Create, list and revoke API keys."`
	Rules       rulesCommand       `cmd:"" help:"Check and test rule files; show the rules in force."`
	Decisions   decisionsCommand   `cmd:"" help:"List what rules decided, and what came of it."`
	Exempt      exemptCommand      `cmd:"" help:"Keep rules off one conference, or off a name, for a while."`
	Stop        stopCommand        `cmd:"" help:"Stop all calls of rules to Twilio, everywhere."`
	Resume      resumeCommand      `cmd:"" help:"End the stop."`
	DeadLetters deadLettersCommand `cmd:"" name:"deadletters" help:"List, show and redrive dead letters."`
	Rebuild     rebuildCommand     `cmd:"" help:"Fill a new picture from the journal, and switch to it."`
	Setup       setupCommand       `cmd:"" help:"Print how to set up Twilio."`
	Journal     journalCommand     `cmd:"" help:"Verify the journal, or accept what it lost."`
	Doctor      doctorCommand      `cmd:"" help:"Find faults of an installation and their remedies."`
	Version     versionCommand     `cmd:"" help:"Print versions."`

	terminal terminal
	file     *settingsFile
	ignored  []string // settings that exist and that demo does not use
}

// usageError is an error of the command line or the settings.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// run runs the command of args and returns the exit code.
func run(ctx context.Context, args []string, t terminal) int {
	root := &cli{terminal: t}
	err := root.run(ctx, args)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(t.err, "gavel: %v\n", err)
	if usage := (usageError{}); errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}

func (c *cli) run(ctx context.Context, args []string) error {
	helped := false
	parser, err := c.parser(func(int) { helped = true })
	if err != nil {
		return err
	}
	command, err := parser.Parse(args)
	if helped {
		return nil
	}
	if err != nil {
		return usageError{hinted(err, args)}
	}
	command.BindTo(ctx, (*context.Context)(nil))
	return command.Run(c, &c.terminal)
}

// parser reads the command line. It calls exit after it has printed help.
func (c *cli) parser(exit func(int)) (*kong.Kong, error) {
	parser, err := kong.New(c,
		kong.Name("gavel"),
		kong.Description("Gavel turns Twilio conference callbacks into a durable event log and a live picture of every conference."),
		kong.Writers(c.terminal.out, c.terminal.err),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: helpWidth}),
		kong.Exit(exit),
	)
	if err != nil {
		return nil, fmt.Errorf("build the command line: %w", err)
	}
	texts := map[string]string{}
	for section := range strings.SplitSeq(helpTexts, "\n# ") {
		command, text, _ := strings.Cut(section, "\n")
		texts[command] = text
	}
	for _, command := range parser.Model.Leaves(false) {
		command.Detail = strings.TrimSpace(texts[command.Path()])
	}
	return parser, nil
}

// helpTexts are the longer help texts. The heading of each is its command.
//
//go:embed help.txt
var helpTexts string

// helpWidth keeps help readable on a wide terminal.
const helpWidth = 100

// hinted adds to an error where help is.
func hinted(err error, args []string) error {
	if usage := (usageError{}); errors.As(err, &usage) {
		return err // it names the settings file
	}
	if len(args) == 0 {
		return fmt.Errorf("%w; `gavel --help` lists them, `gavel demo` shows the main job", err)
	}
	return fmt.Errorf("%w; see `gavel --help` and `gavel COMMAND --help`", err)
}

// BeforeResolve reads the settings file. Flags override the environment, which
// overrides the file. (kong itself would let the file override the environment.)
func (c *cli) BeforeResolve(command *kong.Context) error {
	if command.Command() == "version" {
		return nil
	}
	switch command.Command() {
	case "twilio":
		c.file = &settingsFile{} // the stand-in does not use Gavel's settings
	case "demo":
		if err := c.ignoreSettings(command); err != nil {
			return usageError{err}
		}
	default:
		file, err := readFile(c.configPath(command))
		if err != nil {
			return usageError{err}
		}
		c.file = file
	}
	command.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		return c.setting(flag), nil
	}))
	return nil
}

// setting returns the value of a flag that the command line lacks, or nil for its default.
func (c *cli) setting(flag *kong.Flag) any {
	for _, name := range flag.Envs {
		if value, ok := c.terminal.lookup(name); ok {
			return value
		}
	}
	if value, ok := c.file.flag(flag.Name); ok {
		return value
	}
	switch {
	case flag.Name == "server" && flag.HasDefault:
		return c.ownURL(adminAddress, doorAddress)
	case flag.Name == "to": // of send
		return c.ownURL(doorAddress)
	}
	return nil
}

// setAddress is a setting of serve that is an address, as a variable and as a flag.
type setAddress struct{ variable, flag string }

var (
	adminAddress = setAddress{"GAVEL_ADMIN_LISTEN", "admin-listen"}
	doorAddress  = setAddress{"GAVEL_LISTEN", "listen"}
)

// ownURL returns the URL at which serve with the same settings listens, by the first of the
// settings that names an address with a port; nil if none does.
func (c *cli) ownURL(places ...setAddress) any {
	for _, place := range places {
		address, found := c.terminal.lookup(place.variable)
		if !found {
			address, found = c.file.flag(place.flag)
		}
		if found && address != "" && !strings.HasSuffix(address, ":0") {
			return "http://" + ownAddress(address)
		}
	}
	return nil
}

// ignoreSettings does not read the settings file. It records, as ignored, the
// file and the environment variables that only other commands use.
func (c *cli) ignoreSettings(command *kong.Context) error {
	c.file = &settingsFile{}
	for _, given := range command.Path {
		if given.Flag != nil && given.Flag.Name == "config" {
			return flagFault("--config", errServeOnly)
		}
	}
	var used, ignored []string
	for _, flag := range command.Selected().Flags {
		used = append(used, flag.Envs...)
	}
	for _, other := range append(command.Model.Leaves(true), command.Model.Node) {
		for _, flag := range other.Flags {
			ignored = append(ignored, flag.Envs...)
		}
	}
	ignored = slices.DeleteFunc(ignored, func(name string) bool {
		_, set := c.terminal.lookup(name)
		return !set || slices.Contains(used, name)
	})
	slices.Sort(ignored)
	c.ignored = slices.Compact(ignored)
	if exists(defaultFile) {
		c.ignored = append(c.ignored, defaultFile)
	}
	return nil
}

// configPath returns --config or GAVEL_CONFIG, or "" when neither is given.
func (c *cli) configPath(command *kong.Context) string {
	for _, flag := range command.Model.Flags {
		if flag.Name != "config" {
			continue
		}
		if path, _ := command.FlagValue(flag).(string); path != "" {
			return path
		}
	}
	path, _ := c.terminal.lookup("GAVEL_CONFIG")
	return path
}

// defaultFile is read when no other file is named, if it exists.
const defaultFile = "gavel.yaml"

func readFile(path string) (*settingsFile, error) {
	optional := path == ""
	if optional {
		path = defaultFile
	}
	text, err := os.ReadFile(path)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return &settingsFile{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	return parseSettings(path, text)
}

// rereadAccounts reads the accounts of the settings again. A file that existed at
// the start must still exist.
func (c *cli) rereadAccounts() ([]twilio.Account, error) {
	file, err := readFile(c.file.path)
	if err != nil {
		return nil, err
	}
	s := &secrets{lookup: c.terminal.lookup, file: file}
	all := accounts(file, s)
	return all, errors.Join(s.faults...)
}
