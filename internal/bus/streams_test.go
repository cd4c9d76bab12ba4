package bus_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/internal/bus"
	"gavel/internal/bus/jet"
)

// goodJournal is a journal as Gavel would make it.
func goodJournal() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: "GAVEL_JOURNAL", Subjects: []string{"gavel.journal.*"}, Storage: jetstream.FileStorage,
		Discard: jetstream.DiscardNew, MaxBytes: 1 << 30, DenyDelete: true, Replicas: 1,
		Metadata: map[string]string{"gavel.lanes": "8"},
	}
}

func TestJournalThatWouldLoseSomethingIsRefused(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]struct {
		spoil func(*jetstream.StreamConfig)
		says  string
	}{
		"discard old":       {func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }, "drop its oldest"},
		"work queue":        {func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy }, "retention"},
		"maximum age":       {func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, "maximum age"},
		"maximum messages":  {func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 }, "maximum of messages"},
		"per subject":       {func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 10 }, "per subject"},
		"memory":            {func(c *jetstream.StreamConfig) { c.Storage, c.MaxBytes = jetstream.MemoryStorage, 1<<20 }, "file storage"},
		"rollups":           {func(c *jetstream.StreamConfig) { c.AllowRollup = true }, "rollups"},
		"deletes":           {func(c *jetstream.StreamConfig) { c.DenyDelete = false }, "deleted"},
		"expiring messages": {func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true }, "expire"},
		"schedules":         {func(c *jetstream.StreamConfig) { c.AllowMsgSchedules, c.Discard = true, jetstream.DiscardOld }, "schedules"},
		"async":             {func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode }, "persist mode is async"},
		"no ack":            {func(c *jetstream.StreamConfig) { c.NoAck = true }, "does not acknowledge"},
		"sealed":            {func(c *jetstream.StreamConfig) { c.Sealed = true }, "sealed"},
		"mirror":            {func(c *jetstream.StreamConfig) { c.Subjects, c.Mirror = nil, &jetstream.StreamSource{Name: "OTHER"} }, "mirror"},
		"transform": {func(c *jetstream.StreamConfig) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "gavel.journal.*", Destination: "gavel.journal.0"}
		}, "transforms"},
		"subjects":       {func(c *jetstream.StreamConfig) { c.Subjects = []string{"gavel.journal.0"} }, "subjects are not"},
		"small messages": {func(c *jetstream.StreamConfig) { c.MaxMsgSize = 64 << 10 }, "too small"},
		"no lanes":       {func(c *jetstream.StreamConfig) { c.Metadata = nil }, `says "" lanes`},
		"foolish lanes":  {func(c *jetstream.StreamConfig) { c.Metadata["gavel.lanes"] = "65" }, `says "65" lanes`},
		"newer format":   {func(c *jetstream.StreamConfig) { c.Metadata["gavel.format"] = "2" }, "its format is 2, and this gavel knows formats up to 1"},
		"other lanes":    {func(c *jetstream.StreamConfig) { c.Metadata["gavel.lanes"] = "4" }, "made with 4 lanes and 8 are configured"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := foreignServer(t)
			config := goodJournal()
			bad.spoil(&config)
			makeStream(t, s.ClientURL(), config)
			_, err := bus.Open(testContext(t), bus.Config{URL: s.ClientURL(), Lanes: 8, Replicas: 1}, slog.New(slog.DiscardHandler))
			if !errors.Is(err, bus.ErrRefused) || !strings.Contains(err.Error(), bad.says) {
				t.Errorf("error %v, want %q in it", err, bad.says)
			}
			for name := range jetStream(t, dial(t, s.ClientURL())).StreamNames(testContext(t)).Name() {
				if name != config.Name {
					t.Errorf("%s was made beside a journal that is refused", name)
				}
			}
		})
	}
}

// makeStream makes a stream; what may only be set later is set later.
func makeStream(t *testing.T, url string, c jetstream.StreamConfig) {
	t.Helper()
	js := jetStream(t, dial(t, url))
	sealed := c.Sealed
	c.Sealed = false
	// A cluster that has a leader may still miss the peers for three replicas.
	err := jet.Retry(testContext(t), jet.Starting, func(ctx context.Context) error {
		_, err := js.CreateStream(ctx, c)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Sealed = sealed; sealed {
		if _, err := js.UpdateStream(testContext(t), c); err != nil {
			t.Fatal(err)
		}
	}
}

func TestANewsStreamThatAllowsDuplicatesIsRefused(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]struct {
		spoil func(*jetstream.StreamConfig)
		says  string
	}{
		"short memory": {func(c *jetstream.StreamConfig) { c.Duplicates = time.Minute }, "duplicate window"},
		"discard new":  {func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardNew }, "discard new"},
		"per subject":  {func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }, "per subject"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := foreignServer(t)
			config := jetstream.StreamConfig{Name: "GAVEL_EVENTS", Subjects: []string{"gavel.events.*.*.*"}, Duplicates: 5 * time.Minute}
			bad.spoil(&config)
			makeStream(t, s.ClientURL(), config)
			_, err := bus.Open(testContext(t), bus.Config{URL: s.ClientURL(), Replicas: 1}, slog.New(slog.DiscardHandler))
			if !errors.Is(err, bus.ErrRefused) || !strings.Contains(err.Error(), bad.says) {
				t.Errorf("error %v, want %q in it", err, bad.says)
			}
		})
	}
}

// A stream that would keep a decision twice, lose one, or never ring.
func TestStreamsOfRulesThatWouldNotDoAreRefused(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]struct {
		stream string
		spoil  func(*jetstream.StreamConfig)
		says   string
	}{
		"decisions, discard old":       {"GAVEL_ACTIONS", func(c *jetstream.StreamConfig) { c.Discard, c.DiscardNewPerSubject = jetstream.DiscardOld, false }, "drop its oldest"},
		"decisions, many per subject":  {"GAVEL_ACTIONS", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject, c.DiscardNewPerSubject = 2, false }, "exactly one"},
		"decisions, not per subject":   {"GAVEL_ACTIONS", func(c *jetstream.StreamConfig) { c.DiscardNewPerSubject = false }, "exactly one"},
		"decisions, maximum age":       {"GAVEL_ACTIONS", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, "maximum age"},
		"decisions, deletes":           {"GAVEL_ACTIONS", func(c *jetstream.StreamConfig) { c.DenyDelete = false }, "deleted"},
		"decisions, rollups":           {"GAVEL_ACTIONS", func(c *jetstream.StreamConfig) { c.AllowRollup = true }, "rollups"},
		"decisions, async":             {"GAVEL_ACTIONS", func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode }, "async"},
		"decisions, small messages":    {"GAVEL_ACTIONS", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 64 << 10 }, "too small"},
		"decisions, subjects":          {"GAVEL_ACTIONS", func(c *jetstream.StreamConfig) { c.Subjects = c.Subjects[:1] }, "subjects are not"},
		"alarms, limits":               {"GAVEL_TIMERS", func(c *jetstream.StreamConfig) { c.Retention = jetstream.LimitsPolicy }, "not work queue"},
		"alarms, no schedules":         {"GAVEL_TIMERS", func(c *jetstream.StreamConfig) { c.AllowMsgSchedules = false }, "not allow schedules"},
		"alarms, maximum bytes":        {"GAVEL_TIMERS", func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 20 }, "maximum of bytes"},
		"alarms, maximum messages":     {"GAVEL_TIMERS", func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 }, "maximum of messages"},
		"alarms, many per subject":     {"GAVEL_TIMERS", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 0 }, "exactly one"},
		"alarms, maximum age":          {"GAVEL_TIMERS", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, "maximum age"},
		"alarms, memory":               {"GAVEL_TIMERS", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }, "file storage"},
		"put off, async":               {"GAVEL_LATER", func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode }, "async"},
		"put off, the alarms' subject": {"GAVEL_LATER", func(c *jetstream.StreamConfig) { c.Subjects = []string{"gavel.later.>"} }, "subjects are not"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := foreignServer(t)
			config := rulesStreams[bad.stream]
			config.Name = bad.stream
			bad.spoil(&config)
			makeStream(t, s.ClientURL(), config)
			c := bus.Config{URL: s.ClientURL(), Replicas: 1}
			_, err := bus.Open(testContext(t), c, slog.New(slog.DiscardHandler))
			if !errors.Is(err, bus.ErrRefused) || !strings.Contains(err.Error(), bad.says) || !strings.Contains(err.Error(), bad.stream) {
				t.Errorf("error %v, want %q in it", err, bad.says)
			}
		})
	}
}

// rulesStreams are streams as Gavel would make them.
var rulesStreams = map[string]jetstream.StreamConfig{
	"GAVEL_ACTIONS": {
		Subjects: []string{"gavel.actions.*.*.*", "gavel.served.*.*.*"}, Discard: jetstream.DiscardNew,
		DiscardNewPerSubject: true, MaxMsgsPerSubject: 1, DenyDelete: true,
	},
	"GAVEL_TIMERS": {
		Subjects: []string{"gavel.timers.at.*.*.*", "gavel.timers.due.*.*.*"}, Retention: jetstream.WorkQueuePolicy,
		MaxMsgsPerSubject: 1, AllowMsgSchedules: true, AllowRollup: true,
	},
	"GAVEL_LATER": {
		Subjects: []string{"gavel.later.at.*.*.*", "gavel.later.due.*.*.*"}, Retention: jetstream.WorkQueuePolicy,
		MaxMsgsPerSubject: 1, AllowMsgSchedules: true, AllowRollup: true,
	},
}

func TestGoodStreamsOfRulesAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	s := foreignServer(t)
	for name, config := range rulesStreams {
		config.Name = name
		makeStream(t, s.ClientURL(), config)
	}
	b := openConfig(t, bus.Config{URL: s.ClientURL(), Replicas: 1})
	mustDecide(t, b, decision(1))
}

func TestGoodJournalIsTakenAsItIs(t *testing.T) {
	t.Parallel()
	s := foreignServer(t)
	makeStream(t, s.ClientURL(), goodJournal())
	b := openConfig(t, bus.Config{URL: s.ClientURL(), Replicas: 1})
	if got := b.Info(); got.Lanes != 8 || got.Embedded || got.Sync != bus.SyncInterval || got.URL != s.ClientURL() {
		t.Errorf("info: %+v", got)
	}
	usage, err := b.Journal().Usage(testContext(t))
	if err != nil || usage.Max != 1<<30 {
		t.Errorf("usage %+v, %v", usage, err)
	}
}

func TestStreamsAreMadeAsDesigned(t *testing.T) {
	t.Parallel()
	b := open(t, func(c *bus.Config) { c.Lanes = 4; c.JournalMaxBytes = 1 << 30 })
	js := jetStream(t, client(t, b))
	journal, err := js.Stream(testContext(t), "GAVEL_JOURNAL")
	if err != nil {
		t.Fatal(err)
	}
	c := journal.CachedInfo().Config
	if c.Discard != jetstream.DiscardNew || c.MaxAge != 0 || c.MaxBytes != 1<<30 || c.MaxMsgSize != 1<<20 ||
		!c.DenyDelete || c.Storage != jetstream.FileStorage || c.Metadata["gavel.lanes"] != "4" {
		t.Errorf("journal: %+v", c)
	}
	news, err := js.Stream(testContext(t), "GAVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	c = news.CachedInfo().Config
	if c.MaxAge != 0 || c.Metadata["gavel.max-age"] != "720h0m0s" || c.Duplicates != 5*time.Minute || !c.AllowAtomicPublish ||
		!slices.Equal(c.Subjects, []string{"gavel.events.*.*.*"}) {
		t.Errorf("events: %+v", c)
	}
	for name, want := range map[string]jetstream.PersistModeType{
		"GAVEL_TIMERS": jetstream.AsyncPersistMode, "GAVEL_LATER": jetstream.DefaultPersistMode, "GAVEL_ACTIONS": jetstream.DefaultPersistMode,
	} {
		s, err := js.Stream(testContext(t), name)
		if err != nil {
			t.Fatal(err)
		}
		if c := s.CachedInfo().Config; c.PersistMode != want || c.MaxAge != 0 || c.MaxBytes > 0 != (name == "GAVEL_ACTIONS") || c.Storage != jetstream.FileStorage {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestLanesStayAsTheJournalWasMade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, func(c *bus.Config) { c.DataDir, c.Lanes = dir, 4 })
	closeBus(t, first)
	second := open(t, func(c *bus.Config) { c.DataDir = dir })
	if got := len(second.Lanes()); got != 4 {
		t.Errorf("reopened with %d lanes, want 4", got)
	}
	closeBus(t, second)
	_, err := bus.Open(testContext(t), bus.Config{DataDir: dir, Lanes: 2}, slog.New(slog.DiscardHandler))
	if !errors.Is(err, bus.ErrRefused) {
		t.Errorf("reopened with 2 lanes: %v", err)
	}
}

func TestOneProcessForADataDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, func(c *bus.Config) { c.DataDir = dir })
	_, err := bus.Open(testContext(t), bus.Config{DataDir: dir}, slog.New(slog.DiscardHandler))
	if !errors.Is(err, bus.ErrInUse) {
		t.Errorf("second bus on the same directory: %v", err)
	}
}
