package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/internal/bus"
)

func refused(accountSid, reason string) events.DeadLetter {
	return events.DeadLetter{
		Kind: events.Refused, AccountSid: accountSid, Reason: reason, Field: "Muted",
		ReceivedAt: time.Unix(1_700_000_000, 0).UTC(), Source: events.SourceCallback, Query: "queue=sales", Form: "Muted=maybe",
	}
}

func mustPut(t testing.TB, b *bus.Bus, letters ...events.DeadLetter) {
	t.Helper()
	for _, l := range letters {
		if err := b.DeadLetters().Put(testContext(t), l); err != nil {
			t.Fatal(err)
		}
	}
}

// deadLetters counts letters by subject.
func deadLetters(t testing.TB, b *bus.Bus) map[string]uint64 {
	t.Helper()
	s, err := jetStream(t, client(t, b)).Stream(testContext(t), "GAVEL_DEADLETTERS")
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(testContext(t), jetstream.WithSubjectFilter(">"))
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Subjects
}

// watch returns the letters that fn accepts without an error.
func watch(t testing.TB, b *bus.Bus, fn func(events.DeadLetter) error) <-chan events.DeadLetter {
	t.Helper()
	heard := make(chan events.DeadLetter, 5000)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- b.DeadLetters().Watch(ctx, func(l events.DeadLetter) error {
			err := fn(l)
			if err == nil {
				heard <- l
			}
			return err
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := receive(t, "the watch to end", ended); err != nil {
			t.Errorf("watch: %v", err)
		}
	})
	return heard
}

func everyLetter(events.DeadLetter) error { return nil }

func TestDeadLettersAreKeptByKindAndAccount(t *testing.T) {
	t.Parallel()
	b := open(t)
	unfoldable := events.DeadLetter{Kind: events.Unfoldable, Position: "7.3", Raw: []byte{1, 2}}
	mustPut(t, b, refused(account, "one"), refused(strings.ToLower(account), "two"), refused(other, "three"),
		refused("AC.>", "bent"), unfoldable, unfoldable)
	want := map[string]uint64{
		"gavel.dead.refused." + account: 2,
		"gavel.dead.refused." + other:   1,
		"gavel.dead.refused.unknown":    1,
		"gavel.dead.unfoldable.unknown": 1, // the same place of the journal twice
	}
	if diff := cmp.Diff(want, deadLetters(t, b)); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

func TestMalformedRequestsOfOneAccountDoNotEvictTheLettersOfAnother(t *testing.T) {
	t.Parallel()
	b := open(t)
	mustPut(t, b, refused(other, "real"))
	for n := range 1005 {
		mustPut(t, b, refused(account, fmt.Sprint(n)))
	}
	want := map[string]uint64{"gavel.dead.refused." + account: 1000, "gavel.dead.refused." + other: 1}
	if diff := cmp.Diff(want, deadLetters(t, b)); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

func TestLongLetterIsCut(t *testing.T) {
	t.Parallel()
	b := open(t)
	long := refused(account, "long")
	long.Form, long.Raw = strings.Repeat("x", 200<<10), make([]byte, 1<<20)
	mustPut(t, b, long)
	got := receive(t, "the letter", watch(t, b, everyLetter))
	if got.Reason != "long (what came is cut)" || len(got.Form) != 128<<10 || len(got.Raw) != 512<<10 {
		t.Errorf("reason %q, form of %d bytes, raw of %d", got.Reason, len(got.Form), len(got.Raw))
	}
}

func TestEachLetterIsDeliveredOnce(t *testing.T) {
	t.Parallel()
	b := open(t)
	want := refused(account, "before anybody watches")
	mustPut(t, b, want)
	heard := watch(t, b, everyLetter)
	second, _ := secondProcess(t, b)
	also := watch(t, second, everyLetter)
	if diff := cmp.Diff(want, receive(t, "the letter", heard)); diff != "" {
		t.Errorf("letter (-want +got):\n%s", diff)
	}
	for n := range 20 {
		mustPut(t, b, refused(account, fmt.Sprint(n)))
	}
	got := map[string]int{}
	for range 20 {
		select {
		case l := <-heard:
			got[l.Reason]++
		case l := <-also:
			got[l.Reason]++
		case <-time.After(patience):
			t.Fatalf("received only %v", got)
		}
	}
	if len(got) != 20 {
		t.Errorf("received %v", got)
	}
}

// settlements returns the acknowledgements sent to JetStream, word for word.
func settlements(t testing.TB, b *bus.Bus) <-chan *nats.Msg {
	t.Helper()
	nc := client(t, b)
	said := make(chan *nats.Msg, 100)
	if _, err := nc.ChanSubscribe("$JS.ACK.>", said); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return said
}

// The table of settle.go, as it reaches the server.
func TestErrorsSteerDelivery(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want []string // prefixes of what is said, in order
	}{
		"done":             {nil, []string{"+ACK"}},
		"malformed":        {fmt.Errorf("handle: %w", events.ErrMalformed), []string{"+TERM"}},
		"form error":       {&events.FormError{Field: "Muted"}, []string{"+TERM"}},
		"anything else":    {errors.New("redis is away"), []string{`-NAK {"delay": 9`, `-NAK {"delay": 1`, `-NAK {"delay": 3`}},
		"known to be down": {events.ErrUnavailable, []string{`-NAK {"delay": `}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			said := settlements(t, b)
			watch(t, b, func(events.DeadLetter) error { return c.err })
			mustPut(t, b, refused(account, "x"))
			for n := range c.want {
				got := string(receive(t, "a settlement", said).Data)
				if name == "anything else" {
					wantDelay(t, got, n+1)
				} else if !strings.HasPrefix(got, c.want[n]) {
					t.Errorf("delivery %d: said %q, want %q", n+1, got, c.want[n])
				}
			}
		})
	}
}

// wantDelay checks that the n-th delivery is delayed by about 100 ms * 2^(n-1).
func wantDelay(t *testing.T, said string, n int) {
	t.Helper()
	var nanos int64
	if _, err := fmt.Sscanf(said, `-NAK {"delay": %d}`, &nanos); err != nil {
		t.Errorf("delivery %d: said %q", n, said)
		return
	}
	got, want := time.Duration(nanos), 100*time.Millisecond<<(n-1)
	if got < want*8/10 || got > want*12/10 {
		t.Errorf("delivery %d is delayed by %v, want about %v", n, got, want)
	}
}

func TestLetterThatCannotBeReadIsNotDeliveredAgain(t *testing.T) {
	t.Parallel()
	b := open(t)
	said := settlements(t, b)
	js := jetStream(t, client(t, b))
	if _, err := js.Publish(testContext(t), "gavel.dead.refused.unknown", []byte("{")); err != nil {
		t.Fatal(err)
	}
	bent := nats.NewMsg("gavel.dead.refused.unknown")
	bent.Header.Set("Gavel-Message-Metadata", "{")
	if _, err := js.PublishMsg(testContext(t), bent); err != nil {
		t.Fatal(err)
	}
	watch(t, b, everyLetter)
	for range 2 {
		if got := string(receive(t, "a settlement", said).Data); got != "+TERM" {
			t.Errorf("said %q", got)
		}
	}
}

// TestAWatchWithAnEndedContextLeavesNothingRunning leaves nothing running: TestMain checks that.
func TestAWatchWithAnEndedContextLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := open(t).DeadLetters().Watch(ctx, func(events.DeadLetter) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestDeadLettersAreListedAndGot(t *testing.T) {
	t.Parallel()
	b := open(t)
	if list, err := b.DeadLetters().List(testContext(t), 10); err != nil || len(list) != 0 {
		t.Errorf("of nothing: %v, %v", list, err)
	}
	unperformed := events.DeadLetter{
		Kind: events.Unperformed, AccountSid: account, ConferenceSid: conference, Decision: decision(1).ID, Reason: "expired",
	}
	mustPut(t, b, refused(account, "one"), refused(other, "two"), unperformed, unperformed)
	if _, err := jetStream(t, client(t, b)).Publish(testContext(t), "gavel.dead.refused.unknown", []byte("{")); err != nil {
		t.Fatal(err)
	}
	mustPut(t, b, refused(account, "three"))

	list, err := b.DeadLetters().List(testContext(t), 3)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range list {
		got = append(got, fmt.Sprint(l.ID, " ", l.Reason))
	}
	// The same decision twice is one letter; an unreadable letter is omitted, but counted.
	if diff := cmp.Diff([]string{"5 three", "3 expired"}, got); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	letter, err := b.DeadLetters().Get(testContext(t), 3)
	if diff := cmp.Diff(unperformed, letter.DeadLetter); diff != "" || err != nil || letter.ID != 3 || time.Since(letter.At) > patience {
		t.Errorf("got %d of %v, %v (-want +got):\n%s", letter.ID, letter.At, err, diff)
	}
	for _, id := range []uint64{0, 6} {
		if _, err := b.DeadLetters().Get(testContext(t), id); !errors.Is(err, bus.ErrNoLetter) {
			t.Errorf("letter %d: %v", id, err)
		}
	}
	if _, err := b.DeadLetters().Get(testContext(t), 4); !errors.Is(err, events.ErrMalformed) {
		t.Errorf("bent letter: %v", err)
	}
}
