package doctor_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"gavel/internal/bus"
	"gavel/internal/doctor"
	"gavel/projections/redisstore"
)

const account = "AC25e16e9a716a4a8617a7c83f58e30482"

var errRefused = errors.New("connection refused")

// want is one finding: its level, and words of what was found or what to do.
type want struct {
	level doctor.Level
	words string
}

// expect compares findings with the expected ones, in order. A warning or fault
// must have something to do.
func expect(t *testing.T, got []doctor.Finding, wanted ...want) {
	t.Helper()
	if len(got) != len(wanted) {
		t.Fatalf("%d findings, want %d: %+v", len(got), len(wanted), got)
	}
	for i, w := range wanted {
		if got[i].Level != w.level || !strings.Contains(got[i].Found+" -> "+got[i].Do, w.words) {
			t.Errorf("finding %d is %+v, want %s and %q", i+1, got[i], w.level, w.words)
		}
		if bad := got[i].Level == doctor.Warning || got[i].Level == doctor.Fault; bad && got[i].Do == "" {
			t.Errorf("finding %d has no advice: %+v", i+1, got[i])
		}
	}
}

func TestAReportIsAsBadAsItsWorstFinding(t *testing.T) {
	t.Parallel()
	skipped := doctor.Skipped(doctor.CheckNATS, "nothing answers")
	r := doctor.NewReport([]doctor.Finding{{Level: doctor.Warning}, skipped, {Level: doctor.OK}})
	if r.Worst != doctor.Warning || r.Count(doctor.Note) != 1 || r.Count(doctor.Fault) != 0 {
		t.Errorf("the report is %+v", r)
	}
	if empty := doctor.NewReport(nil); empty.Worst != doctor.OK {
		t.Errorf("a report of nothing is %s", empty.Worst)
	}
}

func TestSettingsAreJudged(t *testing.T) {
	t.Parallel()
	good := doctor.Settings{Door: true, PublicURL: "https://gavel.example.com", EmbeddedNATS: true, Accounts: []doctor.Account{{Sid: account}}}
	expect(t, good.Findings(), want{doctor.OK, "1 account configured"})

	wrong := doctor.Settings{Faults: []string{"--roles: a", "--keep: b"}}
	expect(t, wrong.Findings(), want{doctor.Fault, "--roles: a"}, want{doctor.Fault, "--keep: b"})

	lossy := good
	lossy.Sync = "interval"
	expect(t, lossy.Findings(), want{doctor.Warning, "a power cut loses"})

	rotating := good
	rotating.Accounts = []doctor.Account{{Sid: account, Previous: true}}
	expect(t, rotating.Findings(), want{doctor.Note, "a rotation is under way"})
}

func TestPublicURLsThatTwilioCannotCall(t *testing.T) {
	t.Parallel()
	for url, words := range map[string]string{
		"http://127.0.0.1:8080":     "Twilio cannot call it",
		"https://10.1.2.3":          "Twilio cannot call it",
		"https://[fd00::1]:8443":    "Twilio cannot call it",
		"https://gavel":             "Twilio cannot call it",
		"https://gavel.local":       "Twilio cannot call it",
		"http://gavel.example.com":  "is not HTTPS",
		"https://gavel.example.com": "",
		"https://1.1.1.1/prefix":    "",
	} {
		s := doctor.Settings{Door: true, PublicURL: url}
		if words == "" {
			expect(t, s.Findings(), want{doctor.OK, ""})
		} else {
			expect(t, s.Findings(), want{doctor.Warning, words})
		}
		s.Door = false
		expect(t, s.Findings(), want{doctor.OK, ""})
	}
}

func TestFilesAreJudged(t *testing.T) {
	t.Parallel()
	good := doctor.DataDir{Path: "data", Mode: fs.ModeDir | 0o700, Writable: true, Journal: true, Size: 100e9, Free: 50e9}
	with := func(change func(*doctor.DataDir)) doctor.DataDir { d := good; change(&d); return d }
	for name, c := range map[string]struct {
		dir  doctor.DataDir
		want want
	}{
		"good":             {good, want{doctor.OK, "50.0 GB free"}},
		"before the start": {with(func(d *doctor.DataDir) { d.Missing = true }), want{doctor.Note, "does not exist yet"}},
		"not readable":     {with(func(d *doctor.DataDir) { d.Fault = errRefused }), want{doctor.Fault, "cannot be read"}},
		"a file":           {with(func(d *doctor.DataDir) { d.Mode = 0o600 }), want{doctor.Fault, "is not a directory"}},
		"another user's":   {with(func(d *doctor.DataDir) { d.Writable = false }), want{doctor.Fault, "cannot write"}},
		"others write":     {with(func(d *doctor.DataDir) { d.Mode |= 0o077 }), want{doctor.Fault, "chmod 700 data"}},
		"others read":      {with(func(d *doctor.DataDir) { d.Mode |= 0o050 }), want{doctor.Warning, "chmod 700 data"}},
		"little room":      {with(func(d *doctor.DataDir) { d.Free = 15e9 }), want{doctor.Warning, "15.0 GB free (15 %)"}},
		"no room":          {with(func(d *doctor.DataDir) { d.Free = 900e6 }), want{doctor.Fault, "900 MB free (1 %)"}},
		"no journal there": {with(func(d *doctor.DataDir) { d.Free, d.Journal = 1, false }), want{doctor.OK, ""}},
		"unknown volume":   {with(func(d *doctor.DataDir) { d.Size, d.Free = 0, 0 }), want{doctor.OK, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, doctor.Files{DataDir: c.dir}.Findings(), c.want)
		})
	}
	secrets := doctor.Files{DataDir: good, Secrets: []doctor.File{
		{Path: "mine", Mode: 0o600}, {Path: "read", Mode: 0o644}, {Path: "written", Mode: 0o666}, {Path: "gone", Fault: fs.ErrNotExist},
	}}
	expect(t, secrets.Findings(),
		want{doctor.Warning, "chmod 600 read"}, want{doctor.Fault, "chmod 600 written"}, want{doctor.Fault, "file does not exist"})
}

func TestClocksAreCompared(t *testing.T) {
	t.Parallel()
	clock := func(whose string, ahead, within time.Duration) doctor.Clock {
		return doctor.Clock{Whose: whose, Ahead: ahead, Within: within}
	}
	expect(t, doctor.Clocks(nil), want{doctor.Note, "no other clock could be read"})
	expect(t, doctor.Clocks([]doctor.Clock{clock("NATS", time.Hour, 0)}), want{doctor.Note, "no other clock could be read"})
	expect(t, doctor.Clocks([]doctor.Clock{
		clock("NATS", time.Second, time.Millisecond), clock("Redis", 0, 1), clock("Redis", 0, 1), clock("Twilio", -3*time.Second, time.Second),
	}), want{doctor.OK, "agrees with that of NATS, Redis and Twilio"})
	expect(t, doctor.Clocks([]doctor.Clock{
		clock("NATS", 3*time.Second, time.Millisecond), clock("Redis", -2*time.Hour, time.Millisecond), clock("Twilio", 0, time.Second),
	}),
		want{doctor.Warning, "NATS is 3s ahead of"}, want{doctor.Fault, "Redis is 2h0m0s behind"}, want{doctor.OK, "Twilio"})
}

func TestNATSAndItsStreamsAreJudged(t *testing.T) {
	t.Parallel()
	found := func(streams ...bus.StreamState) bus.Examination {
		return bus.Examination{URL: "nats://one:4222", Version: "2.15.0", Streams: streams}
	}
	journal := bus.StreamState{Name: "GAVEL_JOURNAL", Replicas: 3, Wanted: 3, Bytes: 10, MaxBytes: 100, Refuses: true}
	server := want{doctor.OK, "version 2.15.0 at nats://one:4222"}
	stored := want{doctor.OK, "without a limit of its own"}
	unsure := want{doctor.Warning, "sync_interval: always on every server"}
	expect(t, doctor.NATS{Fault: errRefused}.Findings(), want{doctor.Fault, "connection refused"})
	expect(t, doctor.NATS{Examination: found(journal), Declared: true}.Findings(),
		server, want{doctor.OK, "3 replicas and 0 MB of 0 MB"}, stored, want{doctor.OK, "declared"})
	expect(t, doctor.NATS{Examination: found(), Embedded: true}.Findings(), server, stored, want{doctor.OK, "embedded"})
	expect(t, doctor.NATS{Examination: bus.Examination{VersionFault: errRefused}}.Findings(), want{doctor.Fault, "upgrade"}, stored, unsure)
	for used, level := range map[int64]doctor.Level{50e9: doctor.OK, 75e9: doctor.Warning, 95e9: doctor.Fault} {
		e := bus.Examination{URL: "nats://one:4222", Version: "2.15.0", Stored: used, MaxStored: 100e9}
		expect(t, doctor.NATS{Examination: e}.Findings(), server, want{level, "of the 100.0 GB that it may"}, unsure)
	}

	events := bus.StreamState{Name: "GAVEL_EVENTS", Replicas: 3, Wanted: 3, Bytes: 100, MaxBytes: 100}
	for name, c := range map[string]struct {
		stream bus.StreamState
		want   want
	}{
		"missing":          {bus.StreamState{Name: "GAVEL_JOURNAL", Missing: true}, want{doctor.Note, "does not exist yet"}},
		"refused":          {changed(journal, func(s *bus.StreamState) { s.Fault = errors.New("discard policy") }), want{doctor.Fault, "discard policy"}},
		"expires":          {changed(events, func(s *bus.StreamState) { s.Expires = 720 * time.Hour }), want{doctor.Warning, "expires by the clock of NATS after 720h0m0s"}},
		"fewer replicas":   {changed(journal, func(s *bus.StreamState) { s.Replicas = 1 }), want{doctor.Warning, "has 1 replica, but the settings require 3"}},
		"a replica behind": {changed(journal, func(s *bus.StreamState) { s.Behind = 1 }), want{doctor.Warning, "1 replica is behind"}},
		"nearly full":      {changed(journal, func(s *bus.StreamState) { s.Bytes = 70 }), want{doctor.Warning, "70 % full"}},
		"full":             {changed(journal, func(s *bus.StreamState) { s.Bytes = 95 }), want{doctor.Fault, "95 % full"}},
		"may take all":     {changed(events, func(s *bus.StreamState) { s.MaxBytes, s.Unlimited = -1, true }), want{doctor.Warning, "may use the journal's space"}},
		"drops its oldest": {events, want{doctor.OK, "GAVEL_EVENTS"}},
		"without a limit":  {changed(journal, func(s *bus.StreamState) { s.MaxBytes = -1 }), want{doctor.OK, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, doctor.NATS{Examination: found(c.stream)}.Findings(), server, c.want, stored, unsure)
		})
	}
}

// changed returns a copy of v after change.
func changed[T any](v T, change func(*T)) T { change(&v); return v }

func TestRedisServersAreJudged(t *testing.T) {
	t.Parallel()
	good := redisstore.ServerState{Version: "7.0.15", Policy: "noeviction", Used: 10, Max: 100, Oldest: "6.2"}
	expect(t, doctor.Redis{Fault: errRefused}.Findings(), want{doctor.Fault, "connection refused"})
	for name, c := range map[string]struct {
		server redisstore.ServerState
		want   want
	}{
		"good":       {good, want{doctor.OK, "filled from the journal, which is safe"}},
		"durable":    {changed(good, func(s *redisstore.ServerState) { s.AppendOnly = true }), want{doctor.OK, "log of changes to disk"}},
		"old":        {changed(good, func(s *redisstore.ServerState) { s.TooOld = true }), want{doctor.Fault, "6.2 or newer"}},
		"evicting":   {changed(good, func(s *redisstore.ServerState) { s.Policy = "allkeys-lru" }), want{doctor.Warning, "maxmemory-policy noeviction"}},
		"full":       {changed(good, func(s *redisstore.ServerState) { s.Used = 95 }), want{doctor.Warning, "raise maxmemory"}},
		"no disk":    {changed(good, func(s *redisstore.ServerState) { s.SaveFailed = true }), want{doctor.Warning, "may refuse writes"}},
		"no maximum": {changed(good, func(s *redisstore.ServerState) { s.Max = 0 }), want{doctor.OK, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, doctor.Redis{Servers: []redisstore.ServerState{c.server}}.Findings(), c.want)
		})
	}
}

func TestTwiliosAnswerToCredentialsIsJudged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer doctor.Credentials
		want   want
	}{
		"accepted":    {doctor.Credentials{Status: 200, AccountStatus: "active"}, want{doctor.OK, "accepts the auth token"}},
		"no status":   {doctor.Credentials{Status: 200}, want{doctor.OK, ""}},
		"suspended":   {doctor.Credentials{Status: 200, AccountStatus: "suspended"}, want{doctor.Fault, "is not active"}},
		"refused":     {doctor.Credentials{Status: 401}, want{doctor.Fault, "refuses the auth token"}},
		"unknown":     {doctor.Credentials{Status: 404}, want{doctor.Fault, "does not exist at Twilio"}},
		"busy":        {doctor.Credentials{Status: 429}, want{doctor.Warning, "429"}},
		"unreachable": {doctor.Credentials{Fault: errRefused}, want{doctor.Fault, "check the auth token of account AC25e16e9a716a4a8617a7c83f58e30482 at Twilio: connection refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.answer.AccountSid, c.answer.With = account, "auth token"
			expect(t, c.answer.Findings(), c.want)
		})
	}
}

func TestTheAnswersAtThePublicURLAreJudged(t *testing.T) {
	t.Parallel()
	door := doctor.Knock{Status: 405, Allow: "GET, POST"}
	for name, c := range map[string]struct {
		plain, signed doctor.Knock
		want          want
	}{
		"open":                 {door, doctor.Knock{Status: 204}, want{doctor.OK, "accepts requests signed for account"}},
		"another token":        {door, doctor.Knock{Status: 403}, want{doctor.Fault, "SIGHUP or restart"}},
		"not ready":            {door, doctor.Knock{Status: 503}, want{doctor.Fault, "answers 503 to a request signed for account"}},
		"no body passes":       {door, doctor.Knock{Fault: errRefused}, want{doctor.Fault, "did not answer a signed request"}},
		"no answer":            {doctor.Knock{Fault: errRefused}, doctor.Knock{}, want{doctor.Fault, "cannot be reached from this machine"}},
		"a redirect":           {doctor.Knock{Status: 301}, doctor.Knock{}, want{doctor.Fault, "redirect"}},
		"a bad gateway":        {doctor.Knock{Status: 502}, doctor.Knock{}, want{doctor.Fault, "/readyz/door"}},
		"the wrong path":       {doctor.Knock{Status: 404}, doctor.Knock{}, want{doctor.Fault, "something other than the door is there"}},
		"something else":       {doctor.Knock{Status: 200}, doctor.Knock{Status: 204}, want{doctor.Fault, "something other than the door is there"}},
		"another server's 405": {doctor.Knock{Status: 405, Allow: "GET"}, doctor.Knock{}, want{doctor.Fault, "something other than the door is there"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.signed.AccountSid = account
			expect(t, doctor.Door{PublicURL: "https://gavel.example.com", Plain: c.plain, Signed: []doctor.Knock{c.signed}}.Findings(), c.want)
		})
	}
}
