package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"gavel/app"
	"gavel/cmd/gavel/render"
	"gavel/internal/doctor"
)

// doctorCommand finds faults of an installation.
type doctorCommand struct {
	serverFlags
	Server string `env:"GAVEL_SERVER" placeholder:"URL" help:"The running Gavel (default: the address where these settings make it listen)."`
	APIKey string `name:"api-key" env:"GAVEL_API_KEY" placeholder:"SID:SECRET" help:"API key (default: the first key, in the data directory)."`
	Call   bool   `help:"Make Twilio itself call the public URL, through its Webhooks API."`
	outputFlag
}

// doctorTime bounds all checks together; each check has its own bound too.
const doctorTime = 2 * time.Minute

// Run prints the findings, and fails if one is a fault.
func (c *doctorCommand) Run(ctx context.Context, root *cli, t *terminal) error {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	report := doctor.NewReport(c.examine(ctx, root, t))
	if err := c.print(t, report, func(w io.Writer) error { return findingList(w, report, render.PaletteFor(w, t.lookup)) }); err != nil {
		return fmt.Errorf("print findings: %w", err)
	}
	if n := report.Count(doctor.Fault); n > 0 {
		return fmt.Errorf("doctor: %s found", render.Plural(n, "fault"))
	}
	return nil
}

// examination gathers facts about one installation, in the order of its
// checks; later ones need what earlier ones found.
type examination struct {
	app.Options
	file   *settingsFile
	server string // the running Gavel's address
	client func() (*client, error)
	absent string // why the running Gavel cannot be reached; empty if it can
	clocks []doctor.Clock
}

func (c *doctorCommand) examine(ctx context.Context, root *cli, t *terminal) []doctor.Finding {
	config, err := c.config(root.file, t.lookup)
	if err != nil {
		return afterFaults(err)
	}
	x := &examination{Options: config, file: root.file, server: cmp.Or(c.Server, "http://"+ownAddress(cmp.Or(c.AdminListen, c.Listen)))}
	x.client = clientFlags{Server: x.server, APIKey: c.APIKey, DataDir: config.DataDir}.client
	x.absent = probeHealth(ctx, x.server)
	x.PublicURL = cmp.Or(config.PublicURL, "http://"+ownAddress(c.Listen))
	return slices.Concat(
		x.settings(),
		x.files().Findings(),
		x.nats(ctx),
		x.redis(ctx),
		x.credentials(ctx),
		doctor.Clocks(x.clocks),
		x.publicURL(ctx),
		x.webhooks(ctx, c.Call),
		x.conferences(ctx),
	)
}

// afterFaults reports all faults of the settings, and all other checks as skipped.
func afterFaults(err error) []doctor.Finding {
	if usage := (usageError{}); errors.As(err, &usage) {
		err = usage.error
	}
	lines := strings.Split(strings.TrimPrefix(err.Error(), "settings:\n"), "\n")
	found := doctor.Settings{Faults: lines}.Findings()
	for _, check := range []doctor.Check{
		doctor.CheckFiles, doctor.CheckNATS, doctor.CheckRedis, doctor.CheckCredentials, doctor.CheckClock,
		doctor.CheckPublicURL, doctor.CheckWebhooks, doctor.CheckSubscriptions, doctor.CheckTraps,
	} {
		found = append(found, doctor.Skipped(check, "the settings must be correct first"))
	}
	return found
}

// ownAddress returns the address at which this machine reaches its own listener.
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

// findingList prints findings for people: what was found, and below it the remedy.
func findingList(w io.Writer, r doctor.Report, p render.Palette) error {
	for _, f := range r.Findings {
		level := p.Paint(levelColours[f.Level], fmt.Sprintf("%-8s", f.Level))
		fmt.Fprintf(w, "%s %-14s %s\n", level, f.Check, render.Printable(f.Found))
		if f.Do != "" {
			fmt.Fprintf(w, "%-23s %s %s\n", "", p.Dim("->"), render.Printable(f.Do))
		}
	}
	_, err := fmt.Fprintf(w, "\n%s, %s\n", render.Plural(r.Count(doctor.Fault), "fault"), render.Plural(r.Count(doctor.Warning), "warning"))
	return err
}

var levelColours = map[doctor.Level]string{doctor.OK: "32", doctor.Note: "36", doctor.Warning: "33", doctor.Fault: "31"}
