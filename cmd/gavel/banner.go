package main

import (
	"fmt"
	"io"
	"strings"

	"gavel/app"
	"gavel/handlers/callback"
	"gavel/internal/bus"
	"gavel/internal/rulebook"
)

// banner prints the addresses and files, and the TwiML to configure at Twilio.
func banner(w io.Writer, o app.Options, at app.Info) {
	admin := "http://" + at.Admin
	rows := [][2]string{{"roles", o.Roles.String()}}
	if o.Roles.Has(app.Door) {
		rows = append(rows, [2]string{"door", at.PublicURL + callback.ConferencePath + "  on " + at.Public})
	}
	if o.Roles.Has(app.Serve) {
		rows = append(rows,
			[2]string{"REST", admin + "/2010-04-01/Accounts/{AccountSid}/Conferences.json"},
			[2]string{"API", admin + "/v1/openapi.json"},
			[2]string{"API key", at.KeyFile})
	}
	rows = append(rows,
		[2]string{"health", admin + "/readyz  /metrics"},
		[2]string{"data", o.DataDir},
		[2]string{"NATS", natsPlace(at.NATS)},
		[2]string{"sync", syncMeaning(at.NATS.Embedded, at.NATS.Sync)},
		[2]string{"limits", limits(&at.Sizes)},
		[2]string{"Redis", redisPlace(o)},
		[2]string{"rules", rulesPlace(o, at.Rules)})
	fmt.Fprintln(w, "Gavel "+versions().Gavel)
	for _, row := range rows {
		fmt.Fprintf(w, "  %-8s %s\n", row[0], row[1])
	}
	if o.Roles.Has(app.Door) {
		fmt.Fprintf(w, "\nTell Twilio:\n%s\n\n", twiml(at.PublicURL))
	}
}

func natsPlace(info bus.Info) string {
	switch {
	case !info.Embedded:
		return fmt.Sprintf("%s, server %s, %d lanes, %d replicas", info.URL, info.Version, info.Lanes, info.Replicas)
	case info.URL == "":
		return "embedded, in this process only" + either(info.NotListening != "", " ("+info.NotListening+")", "")
	}
	return fmt.Sprintf("embedded, %s, token in %s", info.URL, info.TokenFile)
}

// limits returns what the streams may store. The journal comes first; a stream without a limit of its own
// is left out.
func limits(s *bus.Sizes) string {
	var parts []string
	for _, stream := range s.Streams {
		if stream.Max > 0 {
			parts = append(parts, strings.TrimPrefix(stream.Name, "GAVEL_")+" "+megabytes(stream.Max))
		}
	}
	if s.MaxStored > 0 {
		parts = append(parts, "all streams "+megabytes(s.MaxStored))
	}
	if len(parts) == 0 {
		return "none; the disks of the NATS servers are the limit"
	}
	if s.VolumeFree >= 0 {
		parts = append(parts, megabytes(s.VolumeFree)+" are free on the volume")
	}
	return strings.Join(parts, ", ")
}

func megabytes(bytes int64) string {
	if bytes >= 1e9 {
		return fmt.Sprintf("%.1f GB", float64(bytes)/1e9)
	}
	return fmt.Sprintf("%d MB", bytes/1e6)
}

func redisPlace(o app.Options) string {
	switch {
	case !o.Roles.Has(app.Project) && !o.Roles.Has(app.Serve) && !o.Roles.Has(app.Act):
		return "not needed by these roles"
	case o.Redis.Embedded():
		return "embedded, with a snapshot in the data directory"
	}
	return "external"
}

// rulesPlace returns which rules are in force, and their origin.
func rulesPlace(o app.Options, status rulebook.Status) string {
	switch {
	case status.InForce == nil:
		return "none; start with --rules PATH"
	case o.Presets != nil:
		return fmt.Sprintf("the presets of examples/rules, live, with all times divided by %d", demoHaste)
	case status.Own != "":
		return fmt.Sprintf("version %s of %s, and not those of %s", status.InForce.Version, status.InForce.Origin, o.Rules)
	}
	return fmt.Sprintf("version %s of %s", status.InForce.Version, status.InForce.Origin)
}

// syncMeaning returns what an acknowledged callback survives.
func syncMeaning(embedded bool, sync bus.Sync) string {
	switch {
	case sync == bus.SyncAlways && embedded:
		return "always: an accepted callback survives kill -9 and a power cut"
	case sync == bus.SyncAlways:
		return "always, as declared: an accepted callback survives kill -9 and a power cut if the NATS servers run with sync_interval: always"
	case embedded:
		return "interval: an accepted callback survives kill -9; a power cut may lose the last two minutes"
	}
	return "interval: an accepted callback survives kill -9; a power cut of all NATS servers may lose the last two minutes (declare --sync always if they run with sync_interval: always)"
}

// twiml is the part to paste into the TwiML of a conference. rc and rp make Twilio
// retry as often as it can, after every kind of failure.
func twiml(publicURL string) string {
	lines := []string{
		`  <Conference statusCallback="` + publicURL + callback.ConferencePath + `#rc=5&amp;rp=all"`,
		`    statusCallbackEvent="start end join leave mute hold modify speaker announcement"`,
		`    recordingStatusCallback="` + publicURL + callback.RecordingPath + `#rc=5&amp;rp=all"`,
		`    recordingStatusCallbackEvent="in-progress completed absent">ROOM</Conference>`,
	}
	return strings.Join(lines, "\n")
}
