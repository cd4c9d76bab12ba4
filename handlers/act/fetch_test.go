package act_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"gavel/events"
	"gavel/handlers/act"
	"gavel/internal/twilio"
	"gavel/internal/twilio/twiliofake"
	"gavel/projections"
)

// hurried is the real stream of news. A delay passes at once in the test's time, and is noted, and
// so is what was settled, by its id.
type hurried struct {
	act.News
	clock *clock

	mu      sync.Mutex
	delays  []time.Duration
	done    map[string]bool
	removed int // times that the consumer was
	// holds keeps a try that failed until the process stops.
	holds bool
}

func (h *hurried) FollowNew(ctx context.Context, consumer string, kinds []events.Kind, fn func(context.Context, events.StoredNews) error) error {
	return h.News.FollowNew(ctx, consumer, kinds, func(ctx context.Context, n events.StoredNews) error {
		err := fn(ctx, n)
		later := events.Later{}
		isLater := errors.As(err, &later)
		if isLater && later.After > events.MaxLater && h.holding() {
			h.note(later.After)
			<-ctx.Done()
			return events.Later{}
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if isLater {
			h.clock.advance(later.After)
			h.delays = append(h.delays, later.After)
			return events.Later{}
		}
		h.done[n.ID] = err == nil
		return err
	})
}

func (h *hurried) Unfollow(ctx context.Context, consumer string) error {
	err := h.News.Unfollow(ctx, consumer)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.removed++
	return err
}

// settled reports whether news with this id was processed to its end.
func (h *hurried) settled(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.done[id]
}

func (h *hurried) removals() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.removed
}

func (h *hurried) holding() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.holds
}

func (h *hurried) hold(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holds = on
}

func (h *hurried) note(delay time.Duration) {
	h.clock.advance(delay)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.delays = append(h.delays, delay)
}

func (h *hurried) waited() []time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.delays)
}

// ends is a world whose performer fetches conferences that end.
type ends struct {
	*world
	news      *hurried
	published []string // ids
}

func fetching(t *testing.T) *ends {
	t.Helper()
	w := open(t, endAbandoned) // its rule does not act here
	h := &hurried{News: w.config.News, clock: w.clock, done: map[string]bool{}}
	w.config.News, w.config.FetchEnded = h, true
	return &ends{world: w, news: h}
}

// follows starts the performer and waits until its consumer exists: it gets news of an account that
// has no credentials.
func (w *ends) follows() (stop func()) {
	w.Helper()
	_, stop = w.perform()
	key := events.Key{AccountSid: "AC00000000000000000000000000000009", ConferenceSid: "CF" + account[2:]}
	w.await("the consumer exists", func() bool {
		return w.news.settled(w.publishes(key, events.Position{}, events.ConferenceEnd, nil))
	})
	w.published = nil
	return stop
}

// over lets a room end at the stand-in, tells it, and publishes the news as the projector does.
func (w *ends) over(r *room) {
	r.Helper()
	w.Helper()
	w.must(r.fake.End(r.key.ConferenceSid))
	r.tell(events.ConferenceEnd, "", map[string]string{"ReasonConferenceEnded": projections.EndedViaAPI})
	w.tells(r, events.ConferenceEnd, nil)
}

// healedEnd lets a room end at the stand-in without a callback; Twilio's answer states it.
func (w *ends) healedEnd(r *room) {
	w.Helper()
	w.must(r.fake.End(r.key.ConferenceSid))
	healed := events.Healed{ID: events.NewULID(), Key: r.key, Fact: events.ConferenceEnd, Behind: 3, At: w.clock.Now()}
	w.must(w.Append(w.Context(), r.key.ConferenceSid, events.NewHealed(healed)))
}

// tells publishes news of a room, as of the last entry of the journal.
func (w *ends) tells(r *room, kind events.Kind, params map[string]string) {
	w.Helper()
	w.mu.Lock()
	at := w.last
	w.mu.Unlock()
	w.publishes(r.key, at, kind, params)
}

func (w *ends) publishes(key events.Key, at events.Position, kind events.Kind, params map[string]string) (id string) {
	w.Helper()
	data, err := json.Marshal(map[string]any{"receivedat": w.clock.Now(), "data": params})
	w.must(err)
	id = events.NewULID()
	w.must(w.bus.News().Publish(w.Context(), []events.News{{Key: key, Kind: kind, ID: id, Position: at, Data: data}}))
	w.published = append(w.published, id)
	return id
}

// fetched is how many entries of the room's journal are about what was fetched.
func (r *room) fetched() (n int) {
	for _, kind := range r.kinds() {
		if kind == "fetched" {
			n++
		}
	}
	return n
}

// asked waits until all news since the start is settled, and returns how often a conference was fetched.
func (w *ends) asked() int {
	w.Helper()
	w.await("all news is settled", func() bool {
		return !slices.ContainsFunc(w.published, func(id string) bool { return !w.news.settled(id) })
	})
	return w.fake.Tally(twiliofake.FetchConference).Asked
}

func TestAConferenceIsFetchedOnceAfterItsEnd(t *testing.T) {
	t.Parallel()
	w := fetching(t)
	old := w.enter("old", "agent", "customer")
	w.over(old) // before the consumer exists
	w.follows()
	r := w.enter("support", "agent", "customer")
	w.over(r)
	r.await("it is fetched", func() bool { return r.fetched() == 1 })
	if got := r.record().Region(); got != "us1" {
		t.Errorf("the region is %q", got)
	}
	if got := w.asked(); got != 1 {
		t.Errorf("Twilio got %d requests, want one for the conference that ended after the start", got)
	}
	if got := w.news.waited(); !slices.Equal(got, []time.Duration{5 * time.Second}) {
		t.Errorf("it waited %v", got)
	}
	if old.fetched() != 0 {
		t.Error("a conference that ended before is fetched")
	}
}

// A rule ends a conference: Twilio's answer states the end, and the callback follows.
func TestAnEndThatTwilioAnsweredAndItsCallbackAreFetchedOnce(t *testing.T) {
	t.Parallel()
	w := fetching(t)
	w.follows()
	r := w.enter("support", "agent", "customer")
	w.healedEnd(r)
	r.tell(events.ConferenceEnd, "", map[string]string{"ReasonConferenceEnded": projections.EndedViaAPI})
	w.tells(r, events.HealedFact, map[string]string{"Fact": "conference-end"})
	w.tells(r, events.HealedFact, map[string]string{"Fact": "participant-leave"})
	w.tells(r, events.ConferenceEnd, nil)
	r.await("it is fetched", func() bool { return r.fetched() > 0 })
	if got := w.asked(); got != 1 || r.fetched() != 1 {
		t.Errorf("%d requests, %d entries", got, r.fetched())
	}
}

// Everybody left, and the end is not subscribed: what only Twilio has is fetched after a minute.
func TestAConferenceThatEverybodyLeftIsFetched(t *testing.T) {
	t.Parallel()
	w := fetching(t)
	w.follows()
	r := w.enter("support", "agent", "supervisor")
	r.leave("agent")
	w.tells(r, events.ParticipantLeave, nil)
	if got := w.asked(); got != 0 { // one is still there
		t.Errorf("Twilio got %d requests", got)
	}
	r.leave("supervisor")
	w.tells(r, events.ParticipantLeave, nil)
	r.await("it is fetched", func() bool { return r.fetched() == 1 })
	if c := r.record(); c.Region() != "us1" || c.End != nil || c.Ended().Reason != projections.EndedByLastLeft {
		t.Errorf("the region is %q, the end %+v, shown as %+v", c.Region(), c.End, c.Ended())
	}
	if got := w.asked(); got != 1 {
		t.Errorf("Twilio got %d requests", got)
	}
	if got, want := w.news.waited(), []time.Duration{5 * time.Second, 55 * time.Second}; !slices.Equal(got, want) {
		t.Errorf("it waited %v, want %v", got, want)
	}
}

// Two legs leave together, and both are gone when their news is read.
func TestLegsThatLeaveTogetherLeadToOneFetch(t *testing.T) {
	t.Parallel()
	w := fetching(t)
	w.follows()
	r := w.enter("support", "agent", "supervisor")
	r.leave("agent")
	first := w.last
	r.leave("supervisor")
	w.tells(r, events.ParticipantLeave, nil)
	w.publishes(r.key, first, events.ParticipantLeave, nil)
	r.await("it is fetched", func() bool { return r.fetched() > 0 })
	if got := w.asked(); got != 1 || r.fetched() != 1 {
		t.Errorf("%d requests, %d entries", got, r.fetched())
	}
}

// The join of another leg was lost: at Twilio the conference goes on, so nothing is recorded.
func TestAnEndThatTwilioDoesNotConfirmIsNotRecorded(t *testing.T) {
	t.Parallel()
	w := fetching(t)
	w.follows()
	r := w.enter("support", "agent", "supervisor")
	for _, label := range []string{"agent", "supervisor"} {
		r.tell(events.ParticipantLeave, label, nil)
	}
	w.tells(r, events.ParticipantLeave, nil)
	if got := w.asked(); got != 3 || r.fetched() != 0 {
		t.Errorf("%d requests, %d entries", got, r.fetched())
	}
	if c := r.record(); !c.EndInferred() || c.Ended() != nil {
		t.Errorf("inferred is %t, the end is shown as %+v", c.EndInferred(), c.Ended())
	}
}

// Only the REST API has the reason if the callback was lost.
func TestTheReasonOfALostEndIsFetched(t *testing.T) {
	t.Parallel()
	w := fetching(t)
	w.follows()
	r := w.enter("support", "agent", "customer")
	w.healedEnd(r)
	w.tells(r, events.HealedFact, map[string]string{"Fact": "conference-end"})
	r.await("it is fetched", func() bool { return r.fetched() == 1 })
	if c := r.record(); c.Ended().Reason != projections.EndedViaAPI || c.End.Reason != "" {
		t.Errorf("people read the reason %q, rules %q", c.Ended().Reason, c.End.Reason)
	}
}

// Each answer that decides nothing leads to another try, three times within an hour. Then the facts
// stay unknown.
func TestAFailedFetchIsTriedThreeMoreTimes(t *testing.T) {
	t.Parallel()
	for status, tries := range map[int]int{
		http.StatusTooManyRequests: 4, http.StatusInternalServerError: 4, http.StatusUnauthorized: 4,
		http.StatusFound: 4, http.StatusNotFound: 1,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			w := fetching(t)
			w.fake.SetWeather(twiliofake.Weather{On: []twiliofake.Call{twiliofake.FetchConference}, Status: status})
			w.follows()
			r := w.enter("support", "agent", "customer")
			w.over(r)
			want := []time.Duration{5 * time.Second, 55 * time.Second, 7 * time.Minute, 42 * time.Minute}
			if got := w.asked(); got != tries {
				t.Errorf("%d tries, want %d", got, tries)
			}
			if got := w.news.waited(); !slices.Equal(got, want[:tries]) {
				t.Errorf("it waited %v, want %v", got, want[:tries])
			}
			if r.fetched() != 0 || r.record().Region() != "" {
				t.Errorf("%d entries, region %q", r.fetched(), r.record().Region())
			}
		})
	}
}

// The retries are in NATS: another process goes on with them.
func TestAFailedFetchIsTriedAgainAfterARestart(t *testing.T) {
	t.Parallel()
	w := fetching(t)
	w.fake.SetWeather(twiliofake.Weather{On: []twiliofake.Call{twiliofake.FetchConference}, Status: http.StatusBadGateway})
	w.news.hold(true)
	stop := w.follows()
	r := w.enter("support", "agent", "customer")
	w.over(r)
	r.await("it failed once", func() bool { return len(w.news.waited()) > 1 })
	stop()
	w.news.hold(false)
	w.fake.SetWeather()
	w.follows()
	r.await("it is fetched", func() bool { return r.fetched() == 1 })
}

// A crash between the fetch and its entry: the fetch is repeated, and the record has the facts once.
func TestAFetchWithoutItsEntryIsRepeatedAndRecordedOnce(t *testing.T) {
	t.Parallel()
	w := fetching(t)
	w.config.Journal = &forgetful{Journal: w.config.Journal, fails: map[events.Kind]int{events.ConferenceFetched: 1}}
	w.follows()
	r := w.enter("support", "agent", "customer")
	w.over(r)
	r.await("it is fetched", func() bool { return r.fetched() > 0 })
	if got := w.asked(); got != 2 || r.fetched() != 1 {
		t.Errorf("%d requests, %d entries", got, r.fetched())
	}
}

// forgetful is a journal whose first entries of some kinds are not stored.
type forgetful struct {
	act.Journal
	mu    sync.Mutex
	fails map[events.Kind]int
}

func (f *forgetful) Append(ctx context.Context, sid string, e events.Entry) error {
	parsed, err := events.Parse(e)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails[parsed.Kind]--; f.fails[parsed.Kind] >= 0 {
		return errors.New("the process is killed")
	}
	return f.Journal.Append(ctx, sid, e)
}

// Without credentials, and after the picture forgot the conference, Twilio is not called.
func TestWhatCannotBeFetchedIsNotTried(t *testing.T) {
	t.Parallel()
	w := fetching(t)
	w.follows()
	r := w.enter("support", "agent", "customer")
	w.tells(r, events.InsightsConferenceSummary, nil) // it goes on
	r.key.ConferenceSid = "CF" + account[2:]
	w.tells(r, events.ConferenceEnd, nil) // the picture does not have it
	r.key.AccountSid = "AC00000000000000000000000000000009"
	w.tells(r, events.ConferenceEnd, nil) // the account has no credentials
	if got := w.asked(); got != 0 {
		t.Errorf("Twilio got %d requests", got)
	}
}

// Calls of actions go first (TestASpareCallWaitsForAllOthers of the client): the fetch says that it can wait.
func TestAFetchIsASpareCall(t *testing.T) {
	t.Parallel()
	w := fetching(t)
	calls := make(chan twilio.Call, 10)
	w.config.Twilio = &noting{w.config.Twilio, calls}
	w.follows()
	r := w.enter("support", "agent", "customer")
	w.over(r)
	if call := <-calls; !call.Spare || call.Method != http.MethodGet {
		t.Errorf("the call is %+v", call)
	}
}

type noting struct {
	act.Twilio
	calls chan twilio.Call
}

func (n *noting) Call(ctx context.Context, call twilio.Call) (twilio.Answer, error) {
	n.calls <- call
	return n.Twilio.Call(ctx, call)
}

// Off: no call, and the consumer is gone, so that switching it on again fetches nothing about the past.
func TestFetchingCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	w := fetching(t)
	w.follows()()
	w.config.FetchEnded = false
	_, stop := w.perform()
	w.await("the consumer is removed", func() bool { return w.news.removals() == 1 })
	r := w.enter("support", "agent", "customer")
	w.over(r)
	stop()
	w.config.FetchEnded = true
	w.follows()
	later := w.enter("later", "agent", "customer")
	w.over(later)
	later.await("it is fetched", func() bool { return later.fetched() == 1 })
	if got := w.asked(); got != 1 || r.fetched() != 0 {
		t.Errorf("%d requests, %d entries of a conference that ended while it was off", got, r.fetched())
	}
}
