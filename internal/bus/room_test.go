package bus_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus"
)

// A volume of a few megabytes, filled completely by the embedded server.
const smallVolume = 16 << 20

// soon is far below the 12 s that an append would keep trying.
const soon = 3 * time.Second

func appendSoon(t *testing.T, b *bus.Bus, form string) error {
	t.Helper()
	start := time.Now()
	err := b.Journal().Append(testContext(t), conference, entry(form))
	if took := time.Since(start); took > soon {
		t.Fatalf("an append took %v, and ended with %v", took, err)
	}
	return err
}

// For each callback GAVEL_EVENTS takes four times the bytes of the journal.
func TestOtherStreamsLeaveTheJournalItsRoom(t *testing.T) {
	t.Parallel()
	b := open(t, func(c *bus.Config) { c.VolumeBytes = smallVolume })
	form, body := strings.Repeat("x", 100<<10), []byte(`{"x":"`+strings.Repeat("x", 400<<10)+`"}`)
	var full error
	n := 0
	for ; full == nil; n++ {
		if n > smallVolume/len(form) {
			t.Fatal("the journal accepts more than the volume holds")
		}
		full = appendSoon(t, b, form)
		tell(t, b, n, body)
		letter := events.DeadLetter{Kind: events.Refused, AccountSid: account, Form: form, Reason: fmt.Sprint(n)}
		if err := b.DeadLetters().Put(testContext(t), letter); err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(full, events.ErrUnavailable) || !strings.Contains(full.Error(), "journal is full") {
		t.Errorf("the volume is full: %v", full)
	}
	usage, err := b.Journal().Usage(testContext(t))
	if err != nil || usage.Full() < 0.95 {
		t.Errorf("the journal was refused at %.0f %% of its room, %v", 100*usage.Full(), err)
	}
	if _, err := b.Actions().Decide(testContext(t), decisions(1, 20)); err != nil {
		t.Errorf("a full journal keeps decisions out: %v", err)
	}
	tell(t, b, n, body)
	if told := timeline(t, b, conferenceKey(0)); len(told) == 0 || len(told) == n+1 || told[len(told)-1].ID != fmt.Sprint(n) {
		t.Errorf("news holds %d of %d facts: it should have discarded the oldest", len(told), n+1)
	}
}

func tell(t *testing.T, b *bus.Bus, n int, body []byte) {
	t.Helper()
	f := fact(conferenceKey(0), n)
	f.ID, f.Data = fmt.Sprint(n), body
	mustPublish(t, b, []events.News{f})
}

// fill stores in a stream that is not Gavel's until nothing more is taken.
func fill(t *testing.T, js jetstream.JetStream) jetstream.Stream {
	t.Helper()
	s, err := js.CreateStream(testContext(t), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"other"}})
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = js.Publish(testContext(t), "other", make([]byte, 512<<10), jetstream.WithRetryAttempts(0))
	}
	return s
}

func TestAFullStoreIsUnavailableAtOnceUntilItHasRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	small := func(c *bus.Config) { c.DataDir, c.VolumeBytes = dir, smallVolume }
	b := open(t, small)
	js := jetStream(t, client(t, b))
	fill(t, js)
	for range 3 {
		if err := appendSoon(t, b, "a=1"); !errors.Is(err, events.ErrUnavailable) || !strings.Contains(err.Error(), "no storage left") {
			t.Fatalf("without room: %v", err)
		}
	}
	if err := b.Healthy(); err == nil || !strings.Contains(err.Error(), "max_file_store") {
		t.Errorf("what to do is not said: %v", err)
	}

	closeBus(t, b)
	b = open(t, small)
	eventually(t, "a start on a full store is unhealthy before any callback", func() bool { return b.Healthy() != nil })
	if err := jetStream(t, client(t, b)).DeleteStream(testContext(t), "OTHER"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the bus to recover", func() bool { return b.Healthy() == nil })
	if err := appendSoon(t, b, "a=1"); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// formerStreams are as Gavel made them before they had a limit in bytes.
func formerStreams() map[string]jetstream.StreamConfig {
	return map[string]jetstream.StreamConfig{
		"GAVEL_EVENTS": {
			Description: "What happened in conferences: each fact once, as a CloudEvent.",
			Subjects:    []string{"gavel.events.*.*.*"}, MaxAge: 30 * 24 * time.Hour, Duplicates: 5 * time.Minute,
			Replicas: 1, AllowAtomicPublish: true,
		},
		"GAVEL_ACTIONS": {
			Description: "What rules decided, each decision once and for ever. Private.",
			Subjects:    []string{"gavel.actions.*.*.*", "gavel.served.*.*.*"}, Discard: jetstream.DiscardNew,
			DiscardNewPerSubject: true, MaxMsgsPerSubject: 1, Replicas: 1, DenyDelete: true,
		},
		"GAVEL_DEADLETTERS": {
			Description: "What was genuine and could not go on, for people.",
			Subjects:    []string{"gavel.dead.*.*"}, MaxMsgsPerSubject: 1000, Replicas: 1,
		},
	}
}

// limitsAfterOpening makes streams, opens a bus on them, and returns their limits and the log.
func limitsAfterOpening(t *testing.T, url string, replicas int, streams map[string]jetstream.StreamConfig) (map[string]int64, string) {
	t.Helper()
	for name, c := range streams {
		c.Name, c.Replicas = name, replicas
		makeStream(t, url, c)
	}
	var log bytes.Buffer
	c := bus.Config{URL: url, Replicas: replicas, JournalMaxBytes: 700 << 20}
	b, err := bus.Open(testContext(t), c,
		slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	closeBus(t, b)
	found, err := bus.Examine(testContext(t), c)
	if err != nil {
		t.Fatal(err)
	}
	limits := map[string]int64{}
	for _, s := range found.Streams {
		limits[s.Name] = s.MaxBytes
		if s.Unlimited != (s.MaxBytes < 0 && s.Name == "GAVEL_EVENTS") {
			t.Errorf("examined: %+v", s)
		}
	}
	return limits, log.String()
}

func TestStreamsOfAFormerGavelGetTheirLimits(t *testing.T) {
	t.Parallel()
	wantLimits(t, foreignServer(t).ClientURL(), 1)
}

func TestStreamsOfAFormerGavelGetTheirLimitsInACluster(t *testing.T) {
	t.Parallel()
	wantLimits(t, urls(cluster(t)), 3)
}

func wantLimits(t *testing.T, url string, replicas int) {
	t.Helper()
	limits, log := limitsAfterOpening(t, url, replicas, formerStreams())
	for name, want := range map[string]int64{"GAVEL_EVENTS": 100 << 20, "GAVEL_ACTIONS": 50 << 20, "GAVEL_DEADLETTERS": 10 << 20} {
		if got := limits[name]; got < want-want/50 || got > want {
			t.Errorf("%s may hold %d bytes, not about %d", name, got, want)
		}
		if !strings.Contains(log, "had no limit in bytes and has one now\" component=bus stream="+name) {
			t.Errorf("the log has no line about the change of %s", name)
		}
	}
	if !strings.Contains(log, "stream was not compressed and is from the next start of NATS on\" component=bus stream=GAVEL_EVENTS") {
		t.Errorf("the log has no line about the compression of GAVEL_EVENTS:\n%s", log)
	}
}

func TestStreamsThatAnOperatorChangedStayAsTheyAre(t *testing.T) {
	t.Parallel()
	streams := formerStreams()
	news, letters := streams["GAVEL_EVENTS"], streams["GAVEL_DEADLETTERS"]
	news.MaxAge = 90 * 24 * time.Hour
	letters.MaxBytes = 1 << 20
	limits, log := limitsAfterOpening(t, foreignServer(t).ClientURL(), 1, map[string]jetstream.StreamConfig{"GAVEL_EVENTS": news, "GAVEL_DEADLETTERS": letters})
	if limits["GAVEL_EVENTS"] != -1 || limits["GAVEL_DEADLETTERS"] != 1<<20 {
		t.Errorf("limits are %v", limits)
	}
	if !strings.Contains(log, "may take the room of the journal") || strings.Contains(log, "has one now") || strings.Contains(log, "compressed") {
		t.Errorf("the log is:\n%s", log)
	}
}

func TestStreamsFitWhereLittleCanBeReserved(t *testing.T) {
	t.Parallel()
	s := foreignServer(t)
	makeStream(t, s.ClientURL(), jetstream.StreamConfig{Name: "OTHER", MaxBytes: s.JetStreamConfig().MaxStore - 200<<20})
	b := openConfig(t, bus.Config{URL: s.ClientURL(), Replicas: 1})
	mustAppend(t, b, "a=1")
	mustDecide(t, b, decision(1))
}

func TestStreamsOfAFormerGavelStartWhereNothingCanBeReserved(t *testing.T) {
	t.Parallel()
	s := foreignServer(t)
	for name, c := range formerStreams() {
		c.Name = name
		makeStream(t, s.ClientURL(), c)
	}
	makeStream(t, s.ClientURL(), jetstream.StreamConfig{Name: "OTHER", MaxBytes: s.JetStreamConfig().MaxStore - 1<<20})
	b := openConfig(t, bus.Config{URL: s.ClientURL(), Replicas: 1})
	mustAppend(t, b, "a=1")
	mustDecide(t, b, decision(1))
}

// What the account of an external server may store is for all replicas together.
func TestSharesAreOfWhatTheAccountMayStoreOfEachReplica(t *testing.T) {
	t.Parallel()
	const room = 1000 << 20
	s := foreignServer(t)
	if err := s.GlobalAccount().UpdateJetStreamLimits(map[string]server.JetStreamAccountLimits{"": {MaxStore: room, MaxMemory: -1, MaxStreams: -1, MaxConsumers: -1}}); err != nil {
		t.Fatal(err)
	}
	openConfig(t, bus.Config{URL: s.ClientURL(), Replicas: 1})
	sum := int64(0)
	for name := range jetStream(t, dial(t, s.ClientURL())).ListStreams(testContext(t)).Info() {
		sum += max(name.Config.MaxBytes, 0)
	}
	if sum < room*8/10 || sum > room*9/10 {
		t.Errorf("all limits together are %d of %d bytes", sum, room)
	}
}

// limitOf reads a stream's limit as a client does.
func limitOf(t *testing.T, b *bus.Bus, stream string) int64 {
	t.Helper()
	s, err := jetStream(t, client(t, b)).Stream(testContext(t), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().Config.MaxBytes
}

// Shares were of the whole volume, although other programs' files were on it.
func TestALimitAboveItsShareIsLoweredAndNeverBelowTheContent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	large := open(t, func(c *bus.Config) { c.DataDir, c.VolumeBytes = dir, 1<<30 })
	for range 30 {
		if err := appendSoon(t, large, strings.Repeat("x", 60<<10)); err != nil {
			t.Fatal(err)
		}
	}
	usage, err := large.Journal().Usage(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	closeBus(t, large)
	for _, c := range []struct{ volume, least, most int64 }{
		{100 << 20, 69 << 20, 70 << 20},
		{2 << 20, int64(usage.Bytes) / 100 * 119, int64(usage.Bytes) / 100 * 121},
	} {
		b := open(t, func(config *bus.Config) { config.DataDir, config.VolumeBytes = dir, c.volume })
		if got := limitOf(t, b, "GAVEL_JOURNAL"); got < c.least || got > c.most {
			t.Errorf("on a volume of %d bytes the journal may hold %d, not %d to %d", c.volume, got, c.least, c.most)
		}
		if err := appendSoon(t, b, "a=1"); err != nil {
			t.Error(err)
		}
		closeBus(t, b)
	}
}

func TestARaisedLimitOfTheJournalTakesEffectAndALowerOneDoesNot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct{ configured, want int64 }{{8 << 20, 8 << 20}, {16 << 20, 16 << 20}, {4 << 20, 16 << 20}} {
		b := open(t, func(config *bus.Config) { config.DataDir, config.JournalMaxBytes = dir, c.configured })
		if got := limitOf(t, b, "GAVEL_JOURNAL"); got != c.want {
			t.Errorf("configured %d: the journal may hold %d, not %d", c.configured, got, c.want)
		}
		closeBus(t, b)
	}
}
