package jet_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/internal/bus/jet"
)

// patience is a deadline under which tests wait for something that will happen.
const patience = 20 * time.Second

// testContext ends before the test binary's timeout.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	return ctx
}

func dial(t testing.TB, url string) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func jetStream(t testing.TB, conn *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// startServer starts a real NATS server in this process, its files in a temporary directory.
func startServer(t testing.TB) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("NATS did not start")
	}
	return s
}

func receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("timed out waiting for %s", what)
		panic("unreachable")
	}
}

// topicStream is a stream whose topics are conformance.<anything>.
func topicStream(t testing.TB) (url string) {
	t.Helper()
	s := startServer(t)
	_, err := jetStream(t, dial(t, s.ClientURL())).CreateStream(testContext(t), jetstream.StreamConfig{
		Name: "CONFORMANCE", Subjects: []string{"conformance.>"}, Storage: jetstream.FileStorage,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.ClientURL()
}

// pair makes a publisher and a subscriber, with a connection as two processes would have.
func pair(t testing.TB, url, group string) (*jet.Publisher, *jet.Subscriber) {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	s := jet.NewSubscriber(nc, "CONFORMANCE", group, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		_ = s.Close() // the suite leaves some open
		nc.Close()
	})
	return jet.NewPublisher(nc), s
}

// Order: one subscription has one message at a time, so a single subscriber
// sees the stream's order; several of one group share it out.
func TestWatermillConformance(t *testing.T) {
	t.Parallel()
	url := topicStream(t)
	features := tests.Features{
		ConsumerGroups:                      true,
		ExactlyOnceDelivery:                 false,
		GuaranteedOrder:                     true,
		GuaranteedOrderWithSingleSubscriber: true,
		Persistent:                          true,
		GenerateTopicFunc:                   func(c tests.TestContext) string { return "conformance." + string(c.TestID) },
	}
	tests.TestPubSub(t, features,
		func(t *testing.T) (message.Publisher, message.Subscriber) { return asInterfaces(pair(t, url, "group")) },
		func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
			return asInterfaces(pair(t, url, group))
		},
	)
}

func asInterfaces(p *jet.Publisher, s *jet.Subscriber) (message.Publisher, message.Subscriber) {
	return p, s
}

func TestMessageGoesThroughUnchanged(t *testing.T) {
	t.Parallel()
	p, s := pair(t, topicStream(t), "group")
	messages, err := s.Subscribe(testContext(t), "conformance.x")
	if err != nil {
		t.Fatal(err)
	}
	sent := message.NewMessage("id", []byte{0, 1, 2})
	for key, value := range map[string]string{"colon:": "line\r\nbreak", " blank ": " blank ", "": "ünïcode"} {
		sent.Metadata.Set(key, value)
	}
	if err := p.Publish("conformance.x", sent); err != nil {
		t.Fatal(err)
	}
	got := receive(t, "the message", messages)
	if !got.Equals(sent) {
		t.Errorf("got %q %q %q", got.UUID, got.Metadata, got.Payload)
	}
	got.Ack()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestPublishingTwiceStoresOnce(t *testing.T) {
	t.Parallel()
	url := topicStream(t)
	p, _ := pair(t, url, "group")
	m := message.NewMessage("id", nil)
	for _, topic := range []string{"conformance.x", "conformance.x", "conformance.y"} {
		if err := p.Publish(topic, m); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := jetStream(t, dial(t, url)).Stream(testContext(t), "CONFORMANCE")
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().State.Msgs; got != 2 {
		t.Errorf("%d messages are stored, want one in each topic", got)
	}
}

func TestAClosedPublisherAndSubscriberReturnErrors(t *testing.T) {
	t.Parallel()
	p, s := pair(t, topicStream(t), "group")
	for range 2 {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := p.Publish("conformance.x", message.NewMessage("id", nil)); err == nil {
		t.Error("closed publisher published")
	}
	if _, err := s.Subscribe(context.Background(), "conformance.x"); err == nil {
		t.Error("closed subscriber subscribed")
	}
}

func TestSubscriptionEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	nc := dial(t, topicStream(t))
	s := jet.NewSubscriber(nc, "CONFORMANCE", "group", slog.New(slog.DiscardHandler))
	messages, err := s.Subscribe(testContext(t), "conformance.x")
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if m := receive(t, "the subscription to end", messages); m != nil {
		t.Errorf("got %q", m.UUID)
	}
}

func TestSubscriptionOutlivesItsConsumer(t *testing.T) {
	t.Parallel()
	url := topicStream(t)
	p, s := pair(t, url, "group")
	messages, err := s.Subscribe(testContext(t), "conformance.x")
	if err != nil {
		t.Fatal(err)
	}
	if err := jetStream(t, dial(t, url)).DeleteConsumer(testContext(t), "CONFORMANCE", "group-conformance_x"); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish("conformance.x", message.NewMessage("id", nil)); err != nil {
		t.Fatal(err)
	}
	receive(t, "the message", messages).Ack()
}

// A message held by a subscriber that closes is redelivered to the next one at
// once, not after AckWait.
func TestUnansweredMessageGoesToTheNextSubscriber(t *testing.T) {
	t.Parallel()
	url := topicStream(t)
	p, first := pair(t, url, "group")
	messages, err := first.Subscribe(testContext(t), "conformance.x")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Publish("conformance.x", message.NewMessage("id", nil)); err != nil {
		t.Fatal(err)
	}
	held := receive(t, "the message", messages)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	receive(t, "the message's context to end", held.Context().Done())

	_, second := pair(t, url, "group")
	messages, err = second.Subscribe(testContext(t), "conformance.x")
	if err != nil {
		t.Fatal(err)
	}
	if got := receive(t, "the message again", messages); got.UUID != "id" {
		t.Errorf("got %q", got.UUID)
	} else {
		got.Ack()
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}
