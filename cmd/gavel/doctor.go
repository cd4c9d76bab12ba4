package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"gavel/app"
	"gavel/internal/doctor"
)

// doctorCommand looks for what is wrong.
type doctorCommand struct {
	serverFlags
	Server string `env:"GAVEL_SERVER" placeholder:"URL" help:"The running Gavel to ask (default: where these settings let it listen)."`
	APIKey string `name:"api-key" env:"GAVEL_API_KEY" placeholder:"SID:SECRET" help:"API key (default: the first key, in the data directory)."`
	outputFlag
}

// Help is the longer help text.
func (doctorCommand) Help() string {
	return `Give it the settings of serve. It looks at settings, files, NATS, Redis, the credentials at Twilio, clocks, the public URL (by a signed request that leaves nothing behind), and at what the conferences of the last day tell about the callback events they asked for and about flags that are traps. It changes nothing, and works before the first start as well: what cannot be looked at yet says why. Its output holds no secret and no phone number.

The exit code is 0 when there is no fault, 1 when there is one; warnings and notes do not count.

Example:
  gavel doctor --public-url https://gavel.example.com`
}

// doctorTime bounds everything together: each check has its own bound too.
const doctorTime = 2 * time.Minute

// Run looks, tells, and fails where there is a fault.
func (c *doctorCommand) Run(ctx context.Context, root *cli, t *terminal) error {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	report := doctor.NewReport(c.examine(ctx, root, t))
	if err := c.print(t, report, func(w io.Writer) error { return findingList(w, report, paletteFor(w, t.lookup)) }); err != nil {
		return fmt.Errorf("print findings: %w", err)
	}
	if n := report.Count(doctor.Fault); n > 0 {
		return fmt.Errorf("doctor: %s found", plural(n, "fault"))
	}
	return nil
}

// examination gathers facts about one installation, in the order of its
// checks; later ones need what earlier ones found.
type examination struct {
	app.Options
	file   *settingsFile
	server string // the running Gavel's address
	asker  func() (*client, error)
	absent string // why the running Gavel cannot be asked; empty where it can
	clocks []doctor.Clock
}

func (c *doctorCommand) examine(ctx context.Context, root *cli, t *terminal) []doctor.Finding {
	config, err := c.config(root.file, t.lookup)
	if err != nil {
		return afterFaults(err)
	}
	x := &examination{Options: config, file: root.file, server: firstOf(c.Server, "http://"+ownAddress(firstOf(c.AdminListen, c.Listen)))}
	x.asker = clientFlags{Server: x.server, APIKey: c.APIKey, DataDir: config.DataDir}.client
	x.absent = knockAtHealth(ctx, x.server)
	x.PublicURL = firstOf(config.PublicURL, "http://"+ownAddress(c.Listen))
	return slices.Concat(
		x.settings(),
		x.files().Findings(),
		x.nats(ctx),
		x.redis(ctx),
		x.credentials(ctx),
		doctor.Clocks(x.clocks),
		x.publicURL(ctx),
		x.conferences(ctx),
	)
}

// afterFaults tells all faults of the settings; what they would have led to is
// left alone.
func afterFaults(err error) []doctor.Finding {
	if usage := (usageError{}); errors.As(err, &usage) {
		err = usage.error
	}
	lines := strings.Split(strings.TrimPrefix(err.Error(), "settings:\n"), "\n")
	found := doctor.Settings{Faults: lines}.Findings()
	for _, check := range []doctor.Check{
		doctor.CheckFiles, doctor.CheckNATS, doctor.CheckRedis, doctor.CheckCredentials, doctor.CheckClock,
		doctor.CheckPublicURL, doctor.CheckSubscriptions, doctor.CheckTraps,
	} {
		found = append(found, doctor.Skipped(check, "the settings have to be whole first"))
	}
	return found
}

// ownAddress is how this machine reaches a listener of its own.
func ownAddress(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// findingList prints findings for people: what was found, and below it what to
// do.
func findingList(w io.Writer, r doctor.Report, p palette) error {
	for _, f := range r.Findings {
		level := p.paint(levelColours[f.Level], fmt.Sprintf("%-8s", f.Level))
		fmt.Fprintf(w, "%s %-14s %s\n", level, f.Check, printable(f.Found))
		if f.Do != "" {
			fmt.Fprintf(w, "%-23s %s %s\n", "", p.dim("->"), printable(f.Do))
		}
	}
	_, err := fmt.Fprintf(w, "\n%s, %s\n", plural(r.Count(doctor.Fault), "fault"), plural(r.Count(doctor.Warning), "warning"))
	return err
}

var levelColours = map[doctor.Level]string{doctor.OK: "32", doctor.Note: "36", doctor.Warning: "33", doctor.Fault: "31"}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
