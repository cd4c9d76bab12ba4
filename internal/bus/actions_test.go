package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/internal/bus"
)

// decision returns the n-th decision of a conference.
func decision(n int) events.Decided {
	return events.Decided{
		ID:       fmt.Sprintf("%032x", n),
		Key:      events.Key{AccountSid: account, ConferenceSid: conference},
		Rule:     "end-orphaned",
		Lane:     3,
		Position: events.Position{Sequence: 7, Index: 2},
		AsOf:     time.Unix(1_700_000_000, 123_456_789).UTC(),
		Data:     []byte(fmt.Sprintf(`{"n":%d}`, n)),
	}
}

func decisions(from, to int) (all []events.Decided) {
	for n := from; n <= to; n++ {
		all = append(all, decision(n))
	}
	return all
}

func mustDecide(t testing.TB, b *bus.Bus, all ...events.Decided) int {
	t.Helper()
	fresh, err := b.Actions().Decide(testContext(t), all)
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

// perform returns the decisions that fn accepts without an error.
func perform(t testing.TB, b *bus.Bus, consumer string, workers int, fn func(context.Context, events.Decided) error) <-chan events.Decided {
	t.Helper()
	done := make(chan events.Decided, 5000)
	background(t, "the performer", func(ctx context.Context) error {
		return b.Actions().Perform(ctx, consumer, workers, func(ctx context.Context, d events.Decided) error {
			err := fn(ctx, d)
			if err == nil {
				done <- d
			}
			return err
		})
	})
	return done
}

func everyDecision(context.Context, events.Decided) error { return nil }

// background runs fn until the test ends, and requires it to return no error.
func background(t testing.TB, who string, fn func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- fn(ctx) }()
	var stopped atomic.Bool
	stop = func() {
		if stopped.Swap(true) {
			return
		}
		cancel()
		if err := receive(t, who+" to end", ended); err != nil {
			t.Errorf("%s: %v", who, err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func TestDecisionIsKeptOnceForEver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, func(c *bus.Config) { c.DataDir = dir })
	if fresh := mustDecide(t, b, decisions(1, 1000)...); fresh != 1000 {
		t.Errorf("%d of 1000 are fresh", fresh)
	}
	changed := decision(7)
	changed.Data = []byte(`{"other":true}`)
	if fresh := mustDecide(t, b, append(decisions(999, 1002), changed)...); fresh != 2 {
		t.Errorf("%d of 2 are fresh", fresh)
	}
	closeBus(t, b)

	again := open(t, func(c *bus.Config) { c.DataDir = dir })
	if fresh := mustDecide(t, again, decisions(1, 1002)...); fresh != 0 {
		t.Errorf("after a restart %d are fresh", fresh)
	}
	got, err := again.Actions().Get(testContext(t), changed.Key, changed.ID)
	if diff := cmp.Diff(decision(7), got); diff != "" || err != nil {
		t.Errorf("the first decision was not kept, %v (-want +got):\n%s", err, diff)
	}
}

// Two projectors, during a take-over, make the same decision at the same moment.
func TestADecisionOfTwoProjectorsIsKeptOnce(t *testing.T) {
	t.Parallel()
	one := open(t)
	two, _ := secondProcess(t, one)
	fresh := make(chan int, 2)
	for _, b := range []*bus.Bus{one, two} {
		go func() {
			n, err := b.Actions().Decide(testContext(t), decisions(1, 500))
			if err != nil {
				t.Error(err)
			}
			fresh <- n
		}()
	}
	if sum := receive(t, "one", fresh) + receive(t, "the other", fresh); sum != 500 {
		t.Errorf("%d of 500 were fresh", sum)
	}
}

func TestDecisionOfNoConference(t *testing.T) {
	t.Parallel()
	b := open(t)
	many := decision(1)
	many.Key.ConferenceSid = ""
	mustDecide(t, b, many)
	got := receive(t, "the decision", perform(t, b, "act-tell", 1, everyDecision))
	if diff := cmp.Diff(many, got); diff != "" {
		t.Errorf("decision (-want +got):\n%s", diff)
	}
	if got, err := b.Actions().Get(testContext(t), many.Key, many.ID); err != nil || got.Key != many.Key {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDecisionsThatCannotBeAMessageAreMalformed(t *testing.T) {
	t.Parallel()
	b := open(t)
	for name, spoil := range map[string]func(*events.Decided){
		"long":     func(d *events.Decided) { d.Data = make([]byte, 300<<10) },
		"no id":    func(d *events.Decided) { d.ID = "" },
		"wildcard": func(d *events.Decided) { d.ID = ">" },
		"words":    func(d *events.Decided) { d.Key.ConferenceSid = "CF.1" },
	} {
		bad := decision(1)
		spoil(&bad)
		if _, err := b.Actions().Decide(testContext(t), []events.Decided{decision(2), bad}); !errors.Is(err, events.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list := mustList(t, b, "", "", 10); len(list) != 0 {
		t.Errorf("kept %v", list)
	}
}

func TestFullStreamOfDecisionsIsAnAlarm(t *testing.T) {
	t.Parallel()
	b := open(t)
	js := jetStream(t, client(t, b))
	s, err := js.Stream(testContext(t), "GAVEL_ACTIONS")
	if err != nil {
		t.Fatal(err)
	}
	c := s.CachedInfo().Config
	c.MaxBytes = 1000
	if _, err := js.UpdateStream(testContext(t), c); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Actions().Decide(testContext(t), decisions(1, 20)); !errors.Is(err, bus.ErrFull) {
		t.Errorf("decided with %v", err)
	}
}

func mustList(t testing.TB, b *bus.Bus, accountSid, conferenceSid string, most int) (ids []string) {
	t.Helper()
	list, _, err := b.Actions().Before(testContext(t), events.Key{AccountSid: accountSid, ConferenceSid: conferenceSid}, 0, most)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		ids = append(ids, strings.TrimLeft(d.ID, "0"))
	}
	return ids
}

func TestNewestDecisionsComeFirst(t *testing.T) {
	t.Parallel()
	b := open(t)
	if got := mustList(t, b, "", "", 5); got != nil {
		t.Errorf("of nothing: %q", got)
	}
	foreign := decision(1)
	foreign.Key = events.Key{AccountSid: other}
	mustDecide(t, b, foreign)
	for n := 2; n <= 4; n++ {
		mustDecide(t, b, decision(n)) // one after the other: a batch has no order
	}
	mustDecide(t, b, decisions(0x1000, 0x1000+3000)...)
	mustDecide(t, b, decision(5))
	for name, c := range map[string]struct {
		account, conference string
		most                int
		want                []string
	}{
		"the newest":         {"", "", 1, []string{"5"}},
		"of one conference":  {account, conference, 1, []string{"5"}},
		"far back":           {other, "", 5, []string{"1"}},
		"far back, bounded":  {other, "", 1, []string{"1"}},
		"of a conference":    {"", conference, 0, nil},
		"of another account": {other, conference, 5, nil},
	} {
		if got := mustList(t, b, c.account, c.conference, c.most); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	all := mustList(t, b, "", "", 5000)
	if len(all) != 3006 || all[0] != "5" || !slices.Equal(all[len(all)-4:], []string{"4", "3", "2", "1"}) {
		t.Errorf("all %d begin with %s and end with %s", len(all), all[0], all[max(len(all)-4, 0):])
	}
	if _, _, err := b.Actions().Before(testContext(t), events.Key{AccountSid: ">", ConferenceSid: ""}, 0, 5); !errors.Is(err, events.ErrMalformed) {
		t.Errorf("listed a wildcard: %v", err)
	}
}

func TestPagesOfDecisionsStayAsTheyAreWhileOthersAreStored(t *testing.T) {
	t.Parallel()
	b := open(t)
	foreign := decision(9)
	foreign.Key = events.Key{AccountSid: other}
	for _, d := range []events.Decided{decision(1), decision(2), foreign, decision(3), decision(4), decision(5)} {
		mustDecide(t, b, d)
	}
	var ids []string
	var before uint64
	for page := 1; ; page++ {
		list, down, err := b.Actions().Before(testContext(t), events.Key{AccountSid: account}, before, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			if d.Sequence == 0 || d.StoredAt.IsZero() {
				t.Errorf("decision %s is stored at %d, %s", d.ID, d.Sequence, d.StoredAt)
			}
			ids = append(ids, strings.TrimLeft(d.ID, "0"))
		}
		mustDecide(t, b, decision(0x100+page))
		if before = down; before == 0 {
			break
		}
	}
	if want := []string{"5", "4", "3", "2", "1"}; !slices.Equal(ids, want) {
		t.Errorf("the pages have %q, want %q", ids, want)
	}
}

func TestADecisionAboutNoConferenceHasItsFirstOutcome(t *testing.T) {
	t.Parallel()
	b := open(t)
	key := events.Key{AccountSid: account}
	if _, recorded, err := b.Actions().Outcome(testContext(t), key, decision(1).ID); recorded || err != nil {
		t.Errorf("before the outcome: %t, %v", recorded, err)
	}
	at := time.Date(2026, 8, 3, 12, 0, 0, 0, time.UTC)
	action := events.Action{ID: decision(1).ID, Do: events.DoWebhook, AccountSid: account, Actor: events.Actor{Rule: "kick-storm"}, At: at}
	for _, o := range []events.Outcome{{Result: events.Done, Status: 204, At: at}, {Result: events.Failed, Status: 410, At: at}} {
		if err := b.Actions().RecordOutcome(testContext(t), key, action.ID, events.NewOutcome(action, o)); err != nil {
			t.Fatal(err)
		}
	}
	o, recorded, err := b.Actions().Outcome(testContext(t), key, action.ID)
	if want := (events.Outcome{Result: events.Done, Status: 204, At: at}); err != nil || !recorded || o != want {
		t.Errorf("the outcome is %+v, %t, %v; want %+v", o, recorded, err, want)
	}
}

func TestUnsettledAndDeferredDecisionsAreCounted(t *testing.T) {
	t.Parallel()
	b := open(t)
	count := func() [2]int {
		t.Helper()
		unsettled, err1 := b.Actions().Unsettled(testContext(t), []string{"act-test", "act-never-ran"})
		deferred, err2 := b.Timers().Deferred(testContext(t))
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		return [2]int{unsettled, deferred}
	}
	if got := count(); got != [2]int{} {
		t.Errorf("of nothing: %v", got)
	}
	ctx, stop := context.WithCancel(testContext(t))
	defer stop()
	begun, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- b.Actions().Perform(ctx, "act-test", 1, func(ctx context.Context, _ events.Decided) error {
			begun <- struct{}{}
			<-ctx.Done() // it settles none
			return ctx.Err()
		})
	}()
	mustDecide(t, b, decisions(1, 4)...)
	<-begun
	later := decision(1)
	if err := b.Timers().Later(testContext(t), later.Key, later.ID, time.Now().Add(time.Hour), nil); err != nil {
		t.Fatal(err)
	}
	if got := count(); got != [2]int{4, 1} {
		t.Errorf("%v are unsettled and deferred, want [4 1]", got)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestGetReturnsOnlyTheRequestedDecision(t *testing.T) {
	t.Parallel()
	b := open(t)
	mustDecide(t, b, decision(1))
	key := decision(1).Key
	for name, id := range map[string]string{"absent": decision(2).ID, "wildcard": "*", "empty": "", "long": strings.Repeat("a", 100)} {
		if _, err := b.Actions().Get(testContext(t), key, id); !errors.Is(err, bus.ErrNoDecision) {
			t.Errorf("%s: %v", name, err)
		}
	}
	key.AccountSid = other
	if _, err := b.Actions().Get(testContext(t), key, decision(1).ID); !errors.Is(err, bus.ErrNoDecision) {
		t.Errorf("of another account: %v", err)
	}
}

func TestAnnouncementIsServedFirstOnce(t *testing.T) {
	t.Parallel()
	one := open(t)
	two, _ := secondProcess(t, one)
	first := make(chan bool, 20)
	for n := range 20 {
		b := one
		if n%2 == 0 {
			b = two
		}
		go func() {
			ok, err := b.Actions().Served(testContext(t), decision(1).Key, decision(1).ID)
			if err != nil {
				t.Error(err)
			}
			first <- ok
		}()
	}
	count := 0
	for range 20 {
		if receive(t, "an answer", first) {
			count++
		}
	}
	if count != 1 {
		t.Errorf("%d were the first", count)
	}
	if ok, err := one.Actions().Served(testContext(t), decision(1).Key, decision(2).ID); !ok || err != nil {
		t.Errorf("another announcement: %v, %v", ok, err)
	}
	if _, err := one.Actions().Served(testContext(t), decision(1).Key, "*"); !errors.Is(err, events.ErrMalformed) {
		t.Errorf("a wildcard: %v", err)
	}
}

func TestDecisionsArePerformedSideBySide(t *testing.T) {
	t.Parallel()
	one := open(t)
	two, _ := secondProcess(t, one)
	mustDecide(t, one, decisions(1, 100)...) // before any performer starts
	var busy atomic.Int32
	together := make(chan struct{})
	meet := func(context.Context, events.Decided) error {
		if n := busy.Add(1); n == 4 {
			close(together)
		}
		<-together
		return nil
	}
	done := perform(t, one, "act-twilio", 4, meet)
	wantAll(t, done, 100)

	told := perform(t, one, "act-tell", 3, everyDecision)
	shared := perform(t, two, "act-tell", 3, everyDecision)
	mustDecide(t, one, decisions(101, 300)...)
	got := map[string]int{}
	for range 300 {
		select {
		case d := <-told:
			got[d.ID]++
		case d := <-shared:
			got[d.ID]++
		case <-time.After(patience):
			t.Fatalf("performed only %d", len(got))
		}
	}
	if len(got) != 300 {
		t.Errorf("%d of 300, some twice", len(got))
	}
	wantAll(t, done, 200)
}

// wantAll requires this many decisions, each once.
func wantAll(t testing.TB, done <-chan events.Decided, count int) {
	t.Helper()
	got := map[string]bool{}
	for range count {
		got[receive(t, "a decision", done).ID] = true
	}
	if len(got) != count {
		t.Errorf("%d of %d, some twice", len(got), count)
	}
}

func TestErrorsSteerPerforming(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want []string
	}{
		"done":      {nil, []string{"+ACK"}},
		"malformed": {fmt.Errorf("perform: %w", events.ErrMalformed), []string{"+TERM"}},
		"later":     {fmt.Errorf("wait: %w", events.Later{After: 20 * time.Millisecond}), []string{`-NAK {"delay": 20000000}`, `-NAK {"delay": 20000000}`}},
		"too late":  {events.Later{After: time.Hour}, []string{`-NAK {"delay": 5000000000}`}},
		"now":       {events.Later{After: -time.Hour}, []string{`-NAK`, `-NAK`}},
		"else":      {errors.New("twilio is away"), []string{`-NAK {"delay": `, `-NAK {"delay": `}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			said := settlements(t, b)
			perform(t, b, "act-twilio", 2, func(context.Context, events.Decided) error { return c.err })
			mustDecide(t, b, decision(1))
			for _, want := range c.want {
				if got := string(receive(t, "a settlement", said).Data); !strings.HasPrefix(got, want) {
					t.Errorf("said %q, want %q", got, want)
				}
			}
		})
	}
}

// A performer that stops waits for the decisions in progress; those it had not
// started are delivered to another performer at once.
func TestPerformerThatStopsFinishesItsWork(t *testing.T) {
	t.Parallel()
	one := open(t)
	two, _ := secondProcess(t, one)
	began, finished := make(chan events.Decided, 10), atomic.Bool{}
	stop := background(t, "the first performer", func(ctx context.Context) error {
		return one.Actions().Perform(ctx, "act-twilio", 1, func(ctx context.Context, d events.Decided) error {
			began <- d
			<-ctx.Done()
			_, err := one.Actions().Get(context.WithoutCancel(ctx), d.Key, d.ID)
			finished.Store(true)
			return err
		})
	})
	mustDecide(t, one, decisions(1, 3)...)
	first := receive(t, "the first decision", began)
	stop()
	if !finished.Load() {
		t.Error("the performer did not wait for the decision in progress")
	}
	if len(began) != 0 {
		t.Error("it started another decision after the stop")
	}
	done := perform(t, two, "act-twilio", 1, everyDecision)
	for range 2 {
		if d := receive(t, "what was left", done); d.ID == first.ID {
			t.Error("a finished decision was delivered again")
		}
	}
}

func TestPerformerOutlivesItsConsumer(t *testing.T) {
	t.Parallel()
	b := open(t)
	done := perform(t, b, "act-twilio", 2, everyDecision)
	mustDecide(t, b, decision(1))
	receive(t, "the first", done)
	if err := jetStream(t, client(t, b)).DeleteConsumer(testContext(t), "GAVEL_ACTIONS", "act-twilio"); err != nil {
		t.Fatal(err)
	}
	mustDecide(t, b, decision(2))
	eventually(t, "the second decision", func() bool {
		select {
		case d := <-done:
			return d.ID == decision(2).ID
		default:
			return false
		}
	})
}

func TestAForeignMessageAmongDecisionsIsTerminated(t *testing.T) {
	t.Parallel()
	b := open(t)
	said := settlements(t, b)
	if _, err := jetStream(t, client(t, b)).Publish(testContext(t), "gavel.actions.a.b.c", []byte("{")); err != nil {
		t.Fatal(err)
	}
	perform(t, b, "act-twilio", 1, everyDecision)
	if got := string(receive(t, "a settlement", said).Data); got != "+TERM" {
		t.Errorf("said %q", got)
	}
	if got := mustList(t, b, "", "", 5); got != nil {
		t.Errorf("listed %q", got)
	}
}

func TestAnEmptyListOfDecisionsIsNoError(t *testing.T) {
	t.Parallel()
	b := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Actions().Perform(ctx, "act-twilio", 1, everyDecision); err != nil {
		t.Error(err)
	}
	if fresh := mustDecide(t, b); fresh != 0 {
		t.Errorf("%d of none are fresh", fresh)
	}
	if _, err := b.Actions().Decide(ctx, decisions(1, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("decided with %v", err)
	}
}
