package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"gavel/events"
)

func TestANoticeIsReceived(t *testing.T) {
	t.Parallel()
	b := open(t)
	nc := client(t, b)
	heard := make(chan *nats.Msg, 1)
	if _, err := nc.ChanSubscribe("floor.>", heard); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := b.Notices().Publish(testContext(t), "floor.support-7", "0123", []byte(`{"held":true}`)); err != nil {
		t.Fatal(err)
	}
	m := receive(t, "the notice", heard)
	if m.Subject != "floor.support-7" || m.Header.Get("Nats-Msg-Id") != "0123" || string(m.Data) != `{"held":true}` {
		t.Errorf("received %s %v %s", m.Subject, m.Header, m.Data)
	}
}

func TestNoticeOnASubjectThatIsNotForIt(t *testing.T) {
	t.Parallel()
	b := open(t)
	for _, subject := range []string{
		"", ".", "floor.", ".floor", "floor..seven", "floor.*", "floor.>", "floor seven", "floor\r\nPUB x", "floor\x00",
		"gavel", "gavel.events.a.b.c", "$JS.API.INFO", "_INBOX.secret", strings.Repeat("secret", 100), "secret.\xff",
	} {
		err := b.Notices().Publish(testContext(t), subject, "1", nil)
		var form *events.FormError
		if !errors.As(err, &form) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", subject, err)
		}
	}
	if err := b.Notices().Publish(testContext(t), "floor", "1", make([]byte, 2<<20)); !errors.Is(err, events.ErrMalformed) {
		t.Errorf("a long notice: %v", err)
	}
}

func TestANoticeWithoutASubscriberIsAnError(t *testing.T) {
	t.Parallel()
	b, way := secondProcess(t, open(t))
	way.hold()
	defer way.goOn()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Notices().Publish(ctx, "floor", "1", nil); err == nil {
		t.Error("a publish without a connection returned no error")
	}
}
