package main

import (
	"fmt"
	"io"
	"strings"

	"gavel/handlers/callback"
)

// banner says where things are, and what to tell Twilio.
func (a *app) banner(w io.Writer) {
	info := a.bus.Info()
	admin := "http://" + reachable(a.admin.Addr())
	rows := [][2]string{{"roles", a.Roles.String()}}
	if a.door != nil {
		rows = append(rows, [2]string{"door", a.PublicURL + callback.ConferencePath + "  on " + reachable(a.public.Addr())})
	}
	if a.rest != nil {
		rows = append(rows,
			[2]string{"REST", admin + "/2010-04-01/Accounts/{AccountSid}/Conferences.json"},
			[2]string{"API", admin + "/v1/openapi.json"},
			[2]string{"API key", a.keyFile()})
	}
	rows = append(rows,
		[2]string{"health", admin + "/readyz  /metrics"},
		[2]string{"data", a.DataDir},
		[2]string{"NATS", a.natsPlace()},
		[2]string{"sync", syncMeaning(a.NATS.embedded(), string(info.Sync))},
		[2]string{"Redis", a.redisPlace()},
		[2]string{"rules", a.rulesPlace()})
	fmt.Fprintln(w, "Gavel "+versions().Gavel)
	for _, row := range rows {
		fmt.Fprintf(w, "  %-8s %s\n", row[0], row[1])
	}
	if a.door != nil {
		fmt.Fprintf(w, "\nTell Twilio:\n%s\n\n", twiml(a.PublicURL))
	}
}

func (a *app) natsPlace() string {
	info := a.bus.Info()
	switch {
	case !info.Embedded:
		return fmt.Sprintf("%s, server %s, %d lanes, %d replicas", info.URL, info.Version, info.Lanes, info.Replicas)
	case info.URL == "":
		return "embedded, in this process only" + either(info.NotListening != "", " ("+info.NotListening+")", "")
	}
	return fmt.Sprintf("embedded, %s, token in %s", info.URL, info.TokenFile)
}

func (a *app) redisPlace() string {
	switch {
	case a.store == nil:
		return "not needed by these roles"
	case a.Redis.embedded():
		return "embedded, filled from the journal at every start"
	}
	return "external"
}

// rulesPlace says which rules are in force, and whose they are.
func (a *app) rulesPlace() string {
	status := a.rules.Status()
	switch {
	case status.InForce == nil:
		return "none; start with --rules PATH"
	case a.Presets != nil:
		return fmt.Sprintf("the presets of examples/rules, live, with all times divided by %d", demoHaste)
	case status.Own != "":
		return fmt.Sprintf("version %s of %s, and not those of %s", status.InForce.Version, status.InForce.Origin, a.config.Rules)
	}
	return fmt.Sprintf("version %s of %s", status.InForce.Version, status.InForce.Origin)
}

// syncMeaning says what an acknowledged callback survives.
func syncMeaning(embedded bool, sync string) string {
	switch {
	case sync == "always" && embedded:
		return "always: an accepted callback survives kill -9 and a power cut"
	case sync == "always":
		return "always, as declared: an accepted callback survives kill -9 and a power cut if the NATS servers run with sync_interval: always"
	case embedded:
		return "interval: an accepted callback survives kill -9; a power cut may lose the last two minutes"
	}
	return "interval: an accepted callback survives kill -9; a power cut of all NATS servers may lose the last two minutes (declare --sync always if they run with sync_interval: always)"
}

// twiml is what to paste into the TwiML of a conference. rc and rp let Twilio
// try again as often as it can, whatever went wrong.
func twiml(publicURL string) string {
	lines := []string{
		`  <Conference statusCallback="` + publicURL + callback.ConferencePath + `#rc=5&amp;rp=all"`,
		`    statusCallbackEvent="start end join leave mute hold modify speaker announcement"`,
		`    recordingStatusCallback="` + publicURL + callback.RecordingPath + `#rc=5&amp;rp=all"`,
		`    recordingStatusCallbackEvent="in-progress completed absent">ROOM</Conference>`,
	}
	return strings.Join(lines, "\n")
}
