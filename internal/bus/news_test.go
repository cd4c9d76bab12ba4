package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus"
)

func conferenceKey(n int) events.Key {
	return events.Key{AccountSid: account, ConferenceSid: fmt.Sprintf("CF%032x", n)}
}

func conferenceKeys(n int) []events.Key {
	var keys []events.Key
	for i := range n {
		keys = append(keys, conferenceKey(i))
	}
	return keys
}

// fact is the n-th fact of a conference, at journal position n.0.
func fact(key events.Key, n int) events.News {
	return events.News{
		Key: key, Kind: events.ParticipantJoin, ID: fmt.Sprintf("%s/%d", key.ConferenceSid, n),
		Position: events.Position{Sequence: uint64(n)}, Data: fmt.Appendf(nil, `{"n":%d}`, n),
	}
}

// story returns count facts, spread over the conferences in turn.
func story(count, conferences int) []events.News {
	var facts []events.News
	for n := range count {
		facts = append(facts, fact(conferenceKey(n%conferences), n+1))
	}
	return facts
}

func mustPublish(t testing.TB, b *bus.Bus, facts []events.News) {
	t.Helper()
	if err := b.News().Publish(testContext(t), facts); err != nil {
		t.Fatal(err)
	}
}

func timeline(t testing.TB, b *bus.Bus, key events.Key) []events.StoredNews {
	t.Helper()
	var out []events.StoredNews
	err := b.News().Timeline(testContext(t), key, func(n events.StoredNews) error {
		out = append(out, n)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func ids(told []events.StoredNews) []string {
	var out []string
	for _, n := range told {
		out = append(out, n.ID)
	}
	return out
}

// wantTold checks that each conference's facts were published once and in order.
func wantTold(t testing.TB, b *bus.Bus, facts []events.News) {
	t.Helper()
	want := make(map[events.Key][]string)
	for _, f := range facts {
		want[f.Key] = append(want[f.Key], f.ID)
	}
	for key, wantIDs := range want {
		if got := ids(timeline(t, b, key)); !slices.Equal(got, wantIDs) {
			t.Errorf("conference %s has the news %q, want %q", key.ConferenceSid, got, wantIDs)
		}
	}
}

func TestNewsIsReadAsItWasPublished(t *testing.T) {
	t.Parallel()
	b := open(t)
	want := fact(conferenceKey(1), 7)
	want.Lane, want.Position.Index = 3, 12
	mustPublish(t, b, []events.News{want})
	got := timeline(t, b, want.Key)
	if diff := cmp.Diff([]events.StoredNews{{News: want, Sequence: 1}}, got); diff != "" {
		t.Errorf("timeline (-want +got):\n%s", diff)
	}
	news, err := jetStream(t, client(t, b)).Stream(testContext(t), "GAVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	m, err := news.GetMsg(testContext(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != "gavel.events."+account+"."+want.Key.ConferenceSid+".participant-join" {
		t.Errorf("subject %s", m.Subject)
	}
	for name, value := range map[string]string{
		"Nats-Msg-Id": want.ID, "Gavel-Position": "3/7.12", "Content-Type": "application/cloudevents+json",
	} {
		if got := m.Header.Get(name); got != value {
			t.Errorf("header %s is %q, want %q", name, got, value)
		}
	}
}

func TestNewsOfManyConferencesKeepsTheOrderOfEach(t *testing.T) {
	t.Parallel()
	for name, sync := range map[string]bus.Sync{"singly": bus.SyncInterval, "in batches": bus.SyncAlways} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, func(c *bus.Config) { c.Sync = sync })
			facts := story(2500, 40)
			mustPublish(t, b, facts)
			wantTold(t, b, facts)
		})
	}
}

// batchIDs are the ids of atomic batches in the stream, with their sizes.
func batchIDs(t *testing.T, b *bus.Bus) map[string]int {
	t.Helper()
	news, err := jetStream(t, client(t, b)).Stream(testContext(t), "GAVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	sizes := make(map[string]int)
	for seq := uint64(1); ; seq++ {
		m, err := news.GetMsg(testContext(t), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return sizes
		}
		if err != nil {
			t.Fatal(err)
		}
		sizes[m.Header.Get("Nats-Batch-Id")]++
	}
}

func TestManyFactsGoInOneBatchWhenEachWouldCostAnFsync(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sync    bus.Sync
		facts   int
		singles int
		batches []int
	}{
		{bus.SyncAlways, 15, 15, nil},
		{bus.SyncAlways, 16, 0, []int{16}},
		{bus.SyncAlways, 1017, 0, []int{17, 1000}},
		{bus.SyncInterval, 100, 100, nil},
	} {
		t.Run(fmt.Sprintf("%s %d", c.sync, c.facts), func(t *testing.T) {
			t.Parallel()
			b := open(t, func(config *bus.Config) { config.Sync = c.sync })
			mustPublish(t, b, story(c.facts, 3))
			sizes := batchIDs(t, b)
			singles := sizes[""]
			delete(sizes, "")
			var batches []int
			for _, size := range sizes {
				batches = append(batches, size)
			}
			slices.Sort(batches)
			if singles != c.singles || !slices.Equal(batches, c.batches) {
				t.Errorf("%d facts were published as %d singles and batches of %v", c.facts, singles, batches)
			}
		})
	}
}

func TestPublishedFactsAreNotPublishedAgain(t *testing.T) {
	t.Parallel()
	for name, sync := range map[string]bus.Sync{"singly": bus.SyncInterval, "in batches": bus.SyncAlways} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, func(c *bus.Config) { c.Sync = sync })
			facts := story(40, 4)
			mustPublish(t, b, facts[:5])
			mustPublish(t, b, facts)
			mustPublish(t, b, facts)
			wantTold(t, b, facts)
		})
	}
}

func TestTheSameFactTwiceInOneBatchIsPublishedOnce(t *testing.T) {
	t.Parallel()
	b := open(t, func(c *bus.Config) { c.Sync = bus.SyncAlways })
	facts := story(20, 2)
	mustPublish(t, b, append(slices.Clone(facts), facts[19]))
	wantTold(t, b, facts)
}

// stream is the stream's stand-in: it sees what is in flight, and answers when the test lets it.
type stream struct {
	t    *testing.T
	nc   *nats.Conn
	come chan *nats.Msg
}

// standIn takes the place of b's GAVEL_EVENTS.
func standIn(t *testing.T, b *bus.Bus) *stream {
	t.Helper()
	nc := client(t, b)
	if err := jetStream(t, nc).DeleteStream(testContext(t), "GAVEL_EVENTS"); err != nil {
		t.Fatal(err)
	}
	s := &stream{t, nc, make(chan *nats.Msg, 1000)}
	if _, err := nc.ChanSubscribe("gavel.events.>", s.come); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stream) next() *nats.Msg { return receive(s.t, "a fact", s.come) }

// answer acknowledges with whatever fields.
func (s *stream) answer(m *nats.Msg, ack map[string]any) {
	s.t.Helper()
	ack["stream"] = "GAVEL_EVENTS"
	data, err := json.Marshal(ack)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := m.Respond(data); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stream) ack(m *nats.Msg) { s.t.Helper(); s.answer(m, map[string]any{"seq": 1}) }

func (s *stream) refuse(m *nats.Msg, code, errCode int) {
	s.t.Helper()
	s.answer(m, map[string]any{"error": map[string]any{"code": code, "err_code": errCode, "description": "x"}})
}

// nothingMore fails when anything but an answer to a marker is in flight.
func (s *stream) nothingMore(b *bus.Bus, when string) {
	s.t.Helper()
	done := publishing(s.t, b, []events.News{fact(conferenceKey(999), 1)})
	m := s.next()
	if m.Header.Get("Nats-Msg-Id") != fact(conferenceKey(999), 1).ID {
		s.t.Fatalf("%s %s is in flight", when, m.Header.Get("Nats-Msg-Id"))
	}
	s.ack(m)
	if err := receive(s.t, "the marker", done); err != nil {
		s.t.Fatal(err)
	}
}

func publishing(t *testing.T, b *bus.Bus, facts []events.News) <-chan error {
	done := make(chan error, 1)
	ctx := testContext(t)
	go func() { done <- b.News().Publish(ctx, facts) }()
	return done
}

func TestLaterFactWaitsForTheEarlierOne(t *testing.T) {
	t.Parallel()
	b := open(t)
	s := standIn(t, b)
	one, two := conferenceKey(1), conferenceKey(2)
	done := publishing(t, b, []events.News{fact(one, 1), fact(one, 2), fact(two, 1), fact(one, 3)})

	first, second := s.next(), s.next()
	inFlight := []string{first.Header.Get("Nats-Msg-Id"), second.Header.Get("Nats-Msg-Id")}
	if want := []string{fact(one, 1).ID, fact(two, 1).ID}; !slices.Equal(inFlight, want) {
		t.Fatalf("at first %q are in flight, want %q", inFlight, want)
	}
	s.nothingMore(b, "before any acknowledgement")
	s.ack(second)
	s.nothingMore(b, "after the other conference's acknowledgement")
	s.ack(first)
	for n := 2; n <= 3; n++ {
		m := s.next()
		if got := m.Header.Get("Nats-Msg-Id"); got != fact(one, n).ID {
			t.Fatalf("then comes %s, want %s", got, fact(one, n).ID)
		}
		s.nothingMore(b, "before its acknowledgement")
		s.ack(m)
	}
	if err := receive(t, "the publisher", done); err != nil {
		t.Error(err)
	}
}

func TestFactWithoutAnAcknowledgementGoesOutAgain(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]func(*stream, *nats.Msg){
		"no answer":             func(*stream, *nats.Msg) {},
		"no leader":             func(s *stream, m *nats.Msg) { s.refuse(m, 503, 10008) },
		"insufficient":          func(s *stream, m *nats.Msg) { s.refuse(m, 503, 10023) },
		"too many requests":     func(s *stream, m *nats.Msg) { s.refuse(m, 429, 10167) },
		"duplicate in process":  func(s *stream, m *nats.Msg) { s.refuse(m, 409, 10158) },
		"answer without number": func(s *stream, m *nats.Msg) { s.answer(m, map[string]any{"seq": 0}) },
		"no answer at all":      func(s *stream, m *nats.Msg) { _ = m.Respond([]byte("{")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			s := standIn(t, b)
			key := conferenceKey(1)
			done := publishing(t, b, []events.News{fact(key, 1), fact(key, 2)})
			first(s, s.next())
			again := s.next()
			if got := again.Header.Get("Nats-Msg-Id"); got != fact(key, 1).ID {
				t.Fatalf("then comes %s", got)
			}
			s.answer(again, map[string]any{"seq": 1, "duplicate": true})
			s.ack(s.next())
			if err := receive(t, "the publisher", done); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAFactThatTheStreamRefusesForGoodEndsPublishing(t *testing.T) {
	t.Parallel()
	b := open(t)
	s := standIn(t, b)
	done := publishing(t, b, []events.News{fact(conferenceKey(1), 1)})
	s.refuse(s.next(), 400, 10060)
	var api *jetstream.APIError
	if err := receive(t, "the publisher", done); !errors.As(err, &api) || api.ErrorCode != 10060 {
		t.Errorf("refused for good: %v", err)
	}
}

func TestBatchThatIsRefusedGoesOutSingly(t *testing.T) {
	t.Parallel()
	b := open(t, func(c *bus.Config) { c.Sync = bus.SyncAlways })
	s := standIn(t, b)
	facts := story(16, 16)
	done := publishing(t, b, facts)
	for n := range facts {
		m := s.next()
		if got := m.Header.Get("Nats-Batch-Sequence"); got != fmt.Sprint(n+1) {
			t.Fatalf("message %d has batch sequence %q", n+1, got)
		}
		if last := n == len(facts)-1; (m.Header.Get("Nats-Batch-Commit") == "1") != last || (m.Reply != "") != last {
			t.Fatalf("message %d: commit %q, reply %q", n+1, m.Header.Get("Nats-Batch-Commit"), m.Reply)
		}
		if n == len(facts)-1 {
			s.refuse(m, 400, 10201)
		}
	}
	for range facts {
		m := s.next()
		if m.Header.Get("Nats-Batch-Id") != "" {
			t.Fatal("a fact was published in a batch again")
		}
		s.ack(m)
	}
	if err := receive(t, "the publisher", done); err != nil {
		t.Error(err)
	}
}

func TestPublishEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := open(t)
	s := standIn(t, b)
	ctx, cancel := context.WithCancel(testContext(t))
	done := make(chan error, 1)
	go func() { done <- b.News().Publish(ctx, story(3, 1)) }()
	s.next()
	cancel()
	if err := receive(t, "the publisher", done); !errors.Is(err, context.Canceled) {
		t.Errorf("ended by its context: %v", err)
	}
}

func TestLastPositionsAreThoseOfTheLastNews(t *testing.T) {
	t.Parallel()
	b := open(t)
	mustPublish(t, b, story(30, 3))
	got, err := b.News().LastPositions(testContext(t), []events.Key{conferenceKey(0), conferenceKey(2), conferenceKey(77)})
	if err != nil {
		t.Fatal(err)
	}
	want := map[events.Key]events.Position{conferenceKey(0): {Sequence: 28}, conferenceKey(2): {Sequence: 30}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("last positions (-want +got):\n%s", diff)
	}
}

func TestLastPositionsOfManyConferences(t *testing.T) {
	t.Parallel()
	b := open(t)
	mustPublish(t, b, story(1000, 500))
	got, err := b.News().LastPositions(testContext(t), conferenceKeys(600))
	if err != nil || len(got) != 500 {
		t.Errorf("%d of 500 conferences have news, %v", len(got), err)
	}
}

func TestTimelineOfAConferenceWithoutNews(t *testing.T) {
	t.Parallel()
	b := open(t)
	mustPublish(t, b, story(3, 1))
	if got := timeline(t, b, conferenceKey(9)); got != nil {
		t.Errorf("timeline %v", ids(got))
	}
}

// tail collects news until n have come.
func tail(t *testing.T, b *bus.Bus, after uint64, account, conference string, n int) []events.StoredNews {
	t.Helper()
	enough := errors.New("enough")
	var out []events.StoredNews
	err := b.News().Tail(testContext(t), after, account, conference, func(told events.StoredNews) error {
		if out = append(out, told); len(out) == n {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	return out
}

func TestTailFollowsFromASequence(t *testing.T) {
	t.Parallel()
	b := open(t)
	facts := story(10, 2)
	foreign := fact(events.Key{AccountSid: other, ConferenceSid: conference}, 1)
	for _, f := range append(facts, foreign) {
		mustPublish(t, b, []events.News{f})
	}
	for name, c := range map[string]struct {
		after               uint64
		account, conference string
		want                []uint64
	}{
		"everything":        {1, "", "", []uint64{2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		"one account":       {8, account, "", []uint64{9, 10}},
		"another account":   {1, other, "", []uint64{11}},
		"one conference":    {3, account, conferenceKey(1).ConferenceSid, []uint64{4, 6, 8, 10}},
		"of any account":    {3, "", conferenceKey(1).ConferenceSid, []uint64{4, 6, 8, 10}},
		"beyond the newest": {10, "", "", []uint64{11}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []uint64
			for _, told := range tail(t, b, c.after, c.account, c.conference, len(c.want)) {
				got = append(got, told.Sequence)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("tail returned %v, want %v", got, c.want)
			}
		})
	}
}

func TestTailOfNewNewsOnly(t *testing.T) {
	t.Parallel()
	b := open(t)
	mustPublish(t, b, story(5, 1))
	ctx, cancel := context.WithCancel(testContext(t))
	heard := make(chan events.StoredNews, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- b.News().Tail(ctx, 0, "", "", func(told events.StoredNews) error {
			heard <- told
			return nil
		})
	}()
	// The tail does not signal its start, so publish until it receives.
	n := 5
	eventually(t, "the tail to receive news", func() bool {
		n++
		mustPublish(t, b, []events.News{fact(conferenceKey(1), n)})
		return len(heard) > 0
	})
	if first := <-heard; first.Sequence <= 5 {
		t.Errorf("the tail begins at %d", first.Sequence)
	}
	cancel()
	if err := receive(t, "the tail to end", ended); !errors.Is(err, context.Canceled) {
		t.Errorf("tail ended with %v", err)
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, sync := range []bus.Sync{bus.SyncInterval, bus.SyncAlways} {
		b.Run(string(sync), func(b *testing.B) {
			bb := open(b, func(c *bus.Config) { c.Sync = sync })
			data := make([]byte, 2000)
			b.ReportAllocs()
			for n := 0; n < b.N; {
				size := min(500, b.N-n)
				facts := make([]events.News, size)
				for i := range facts {
					facts[i] = fact(conferenceKey(i%200), n)
					facts[i].Data = data
					n++
				}
				mustPublish(b, bb, facts)
			}
		})
	}
}

func TestNewsOfSomeKindsIsFollowed(t *testing.T) {
	t.Parallel()
	b := open(t)
	played, failed, joined := fact(conferenceKey(1), 1), fact(conferenceKey(1), 2), fact(conferenceKey(1), 3)
	played.Kind, failed.Kind = events.AnnouncementEnd, events.AnnouncementFail
	mustPublish(t, b, []events.News{played})
	told := make(chan events.StoredNews, 10)
	background(t, "the follower", func(ctx context.Context) error {
		kinds := []events.Kind{events.AnnouncementEnd, events.AnnouncementFail}
		return b.News().Follow(ctx, "act-announcements", kinds, func(_ context.Context, n events.StoredNews) error {
			told <- n
			return nil
		})
	})
	if diff := cmp.Diff(events.StoredNews{News: played, Sequence: 1}, receive(t, "earlier news", told)); diff != "" {
		t.Errorf("news (-want +got):\n%s", diff)
	}
	mustPublish(t, b, []events.News{joined, failed})
	if got := receive(t, "new news", told); got.ID != failed.ID {
		t.Errorf("received %s, want %s", got.ID, failed.ID)
	}
}

// followNew follows the ends of conferences from now on. It answers each with what fn returns.
func followNew(t *testing.T, b *bus.Bus, fn func(events.StoredNews) error) (told chan events.StoredNews, stop func()) {
	t.Helper()
	told = make(chan events.StoredNews, 10)
	stop = background(t, "the follower of new news", func(ctx context.Context) error {
		return b.News().FollowNew(ctx, "act-fetch", []events.Kind{events.ConferenceEnd}, func(_ context.Context, n events.StoredNews) error {
			told <- n
			return fn(n)
		})
	})
	js := jetStream(t, client(t, b))
	eventually(t, "the consumer exists", func() bool {
		_, err := js.Consumer(testContext(t), "GAVEL_EVENTS", "act-fetch")
		return err == nil
	})
	return told, stop
}

func endOf(n int) events.News {
	end := fact(conferenceKey(n), 1)
	end.Kind, end.ID = events.ConferenceEnd, fmt.Sprint("end-", n)
	return end
}

func TestNewNewsIsFollowedFromTheFirstTimeOn(t *testing.T) {
	t.Parallel()
	b := open(t)
	mustPublish(t, b, []events.News{endOf(1)})
	told, stop := followNew(t, b, func(events.StoredNews) error { return nil })
	mustPublish(t, b, []events.News{endOf(2)})
	if got := receive(t, "new news", told); got.ID != "end-2" {
		t.Errorf("received %s, want what was published after the consumer was made", got.ID)
	}
	stop()
	mustPublish(t, b, []events.News{endOf(3)}) // no process follows
	told, stop = followNew(t, b, func(events.StoredNews) error { return nil })
	if got := receive(t, "news of meanwhile", told); got.ID != "end-3" {
		t.Errorf("received %s, want what was published meanwhile", got.ID)
	}
	stop()
	for range 2 { // the second time there is no consumer
		if err := b.News().Unfollow(testContext(t), "act-fetch"); err != nil {
			t.Fatal(err)
		}
	}
	mustPublish(t, b, []events.News{endOf(4)})
	told, _ = followNew(t, b, func(events.StoredNews) error { return nil })
	mustPublish(t, b, []events.News{endOf(5)})
	if got := receive(t, "news after the consumer was made again", told); got.ID != "end-5" {
		t.Errorf("received %s, want nothing of the time without a consumer", got.ID)
	}
}

// A delay of an hour is not cut, and neither the end of the process nor that of NATS ends it.
func TestALongDelayOfNewNewsSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, func(c *bus.Config) { c.DataDir = dir })
	told, stop := followNew(t, b, func(events.StoredNews) error { return events.Later{After: time.Hour} })
	mustPublish(t, b, []events.News{endOf(1)})
	receive(t, "the first", told)
	pending := func(b *bus.Bus) (redelivered, unsettled int) {
		consumer, err := jetStream(t, client(t, b)).Consumer(testContext(t), "GAVEL_EVENTS", "act-fetch")
		if err != nil {
			t.Fatal(err)
		}
		return consumer.CachedInfo().NumRedelivered, consumer.CachedInfo().NumAckPending
	}
	stop()
	closeBus(t, b)
	b = open(t, func(c *bus.Config) { c.DataDir = dir })
	told, _ = followNew(t, b, func(events.StoredNews) error { return nil })
	mustPublish(t, b, []events.News{endOf(2)})
	if got := receive(t, "the second", told); got.ID != "end-2" {
		t.Errorf("received %s again, although it was delayed", got.ID)
	}
	eventually(t, "only the delayed one is pending", func() bool {
		redelivered, unsettled := pending(b)
		return redelivered == 0 && unsettled == 1
	})
}
