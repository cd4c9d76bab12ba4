package act_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/events"
	"gavel/handlers/act"
	"gavel/internal/brakes"
	"gavel/internal/twilio"
	"gavel/lanes"
	"gavel/projections"
	"gavel/rules"
)

// histories is how many are played; GAVEL_HISTORIES sets another number. Under the race detector
// each takes ten times as long, so it plays a part of them.
const histories = 20_000

// Random histories of one conference each: people who come and go, ring and hold, callbacks that are
// late, rules that are switched off and changed, stops, exemptions, brakes, performers that die, and a
// Twilio that is slow, silent, answers 404, 429 or 500, or lists a part of the participants.
//
// No action is sent whose conditions did not hold in the stand-in's own state at some moment of the 2 s
// before. An occasion that lasts leads to its action: always without a fault of Twilio's, and in 95 of
// 100 with faults.
func TestActionsHaveTheirConditionsInAnyHistory(t *testing.T) {
	t.Parallel()
	const bubbles = 8
	number := histories
	if raceDetector {
		number /= 40
	}
	if n, err := strconv.Atoi(os.Getenv("GAVEL_HISTORIES")); err == nil {
		number = n
	}
	var sum tally
	t.Run("histories", func(t *testing.T) {
		for n := range bubbles {
			t.Run(strconv.Itoa(n), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					for seed := n; seed < number && !t.Failed(); seed += bubbles {
						playHistory(t, uint64(seed), &sum)
					}
				})
			})
		}
	})
	t.Logf("%d histories: %d actions; of the occasions that lasted %d of %d acted without faults, %d of %d with", number,
		sum.actions.Load(), sum.acted[0].Load(), sum.lasted[0].Load(), sum.acted[1].Load(), sum.lasted[1].Load())
	if sum.acted[0].Load() != sum.lasted[0].Load() || sum.acted[1].Load()*100 < sum.lasted[1].Load()*95 || sum.lasted[0].Load() == 0 {
		t.Error("occasions that lasted did not lead to their actions")
	}
}

// tally counts over all histories: the actions that were sent and, without and with faults of
// Twilio's, the occasions that lasted and those that led to their action.
type tally struct {
	actions       atomic.Int64
	lasted, acted [2]atomic.Int64
}

// kinds are the rules of the histories, by the beginning of the room's name, and when each may act: by
// the state of the stand-in, whatever Gavel has received.
var kinds = []struct {
	name string
	may  func(*floor) bool
}{
	{"alone", func(f *floor) bool { return f.status == "in-progress" && f.count() == 1 }},
	{"left", func(f *floor) bool { return f.count() == 1 && f.legs["supervisor"] == nil }},
	{"ladder", func(f *floor) bool { return f.status == "in-progress" && f.count() == 1 }},
	{"held", func(f *floor) bool { return f.legs["customer"] != nil && f.legs["customer"].hold }},
}

const historyRules = `
rules:
  - name: alone
    when: conference.friendly_name == "alone" && conference.status == "in-progress" && size(conference.live) == 1
    for: 10s
    do: [{end: {}}]
    mode: live
  - name: ladder
    when: conference.friendly_name == "ladder" && conference.status == "in-progress" && size(conference.live) == 1
    do: [{mute: {target: "true"}}, {wait: 10s}, {unmute: {target: "true"}}, {wait: 10s}, {end: {}}]
    mode: live
  - name: left
    when: conference.friendly_name == "left" && event.kind == "participant-leave" && size(conference.live) == 1
    unless: conference.live.exists(p, p.label == "supervisor")
    do: [{end: {}}]
    mode: live
  - name: held
    each: participant
    when: conference.friendly_name == "held" && participant.hold && participant.label == "customer"
    for: 5s
    do: [{kick: {}}]
    mode: live
`

// versions are the sets that come into force; the first and the fourth may act.
var versions = sync.OnceValue(func() (all []*rules.Set) {
	for _, text := range []string{
		historyRules,
		strings.ReplaceAll(historyRules, "mode: live", "mode: shadow"),
		strings.ReplaceAll(historyRules, "mode: live", `mode: "off"`),
		strings.ReplaceAll(historyRules, "mode: live", "limits: {per_minute: 9}\n    mode: live"),
		`exempt: {names: ["alone", "left", "ladder", "held"]}` + historyRules,
	} {
		set, err := rules.Parse(rules.File{Name: "rules.yaml", Text: text})
		if err != nil {
			panic(err)
		}
		all = append(all, set)
	}
	return all
})

// floor is the stand-in: one conference as it is, and what of it is known to Gavel later.
type floor struct {
	status string
	legs   map[string]*floorLeg // by label
}

type floorLeg struct {
	callSid, status string
	hold, muted     bool
}

// count is the number of legs that are in the conference or about to join it.
func (f *floor) count() int { return len(f.legs) }

// history is one history: the floor, Gavel's stores in memory, and one performer.
type history struct {
	*testing.T
	seed   uint64
	kind   int
	faulty bool
	// operated: operators change rules, stop them and exempt the conference.
	operated bool
	key      events.Key
	began    time.Time
	ctx      context.Context

	mu       sync.Mutex
	rand     *rand.Rand
	floor    floor
	legs     int
	seq      int
	inForce  int // of versions
	stopped  bool
	exempt   time.Time // until then a person exempted the conference
	braked   time.Time
	ruling   []moment // whether the rule may act, at each change
	machine  *lanes.Machine
	last     events.Position
	room     lanes.Conference
	decided  map[string]events.Decided
	acted    bool
	messages chan func(context.Context, performed)

	generation *generation
	running    sync.WaitGroup
}

// moment is since when the rule of the set in force may act, or may not.
type moment struct {
	at      time.Time
	inForce int
	may     bool
}

// performed is what Perform and Dues were given.
type performed struct {
	decision func(context.Context, events.Decided) error
	due      func(context.Context, events.Key, string, []byte) error
}

func playHistory(t *testing.T, seed uint64, sum *tally) {
	h := &history{T: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 1)), began: time.Now(), decided: map[string]events.Decided{}, messages: make(chan func(context.Context, performed), 100)}
	h.kind, h.faulty, h.operated = int(seed%4), seed/4%2 == 1, seed/8%2 == 1
	h.key = events.Key{AccountSid: account, ConferenceSid: fmt.Sprintf("CF%032x", seed)}
	h.floor = floor{status: "init", legs: map[string]*floorLeg{}}
	ctx, end := context.WithCancel(t.Context())
	h.ctx = ctx
	defer func() { end(); h.running.Wait() }()
	var err error
	if h.machine, err = lanes.New(h, nil); err != nil {
		t.Fatal(err)
	}
	h.load()
	h.startPerformer()
	h.people()
	lasts := h.lasts()
	h.pass(7 * time.Minute)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.acted {
		sum.actions.Add(1)
	}
	if !lasts {
		return
	}
	faulty := 0
	if h.faulty {
		faulty = 1
	}
	sum.lasted[faulty].Add(1)
	if h.acted {
		sum.acted[faulty].Add(1)
	} else if !h.faulty {
		t.Errorf("history %d: the occasion lasts and %s did not act: %+v", seed, kinds[h.kind].name, h.record())
	}
}

// record is what Gavel has of the conference's actions.
func (h *history) record() (all []string) {
	if h.room.Record == nil {
		return nil
	}
	for _, a := range h.room.Record.Actions {
		all = append(all, fmt.Sprintf("%s %+v", a.Do, a.Outcome))
	}
	return all
}

// pass lets time go by.
func (h *history) pass(d time.Duration) {
	select {
	case <-time.After(d):
	case <-h.ctx.Done():
	}
}

// after does something later, unless the history has ended by then.
func (h *history) after(d time.Duration, do func()) {
	h.running.Add(1)
	go func() {
		defer h.running.Done()
		if h.pass(d); h.ctx.Err() == nil {
			do()
		}
	}()
}

// chance draws whether something happens, between draws a duration.
func (h *history) chance(percent int) bool { return h.rand.IntN(100) < percent }

func (h *history) between(a, b time.Duration) time.Duration {
	return a + time.Duration(h.rand.Int64N(int64(b-a)))
}

// people play the history.
func (h *history) people() {
	h.change(func() { h.join("agent") })
	h.change(func() { h.join("customer") })
	h.change(func() { h.floor.status = "in-progress"; h.tell(events.ConferenceStart, "") })
	for range 4 + h.rand.IntN(8) {
		h.mu.Lock()
		gap := h.between(0, 25*time.Second)
		h.mu.Unlock()
		h.pass(gap)
		h.change(h.step)
	}
	h.change(h.lastStep)
}

// lastStep begins what may last, if the room is still there.
func (h *history) lastStep() {
	for label, l := range h.floor.legs {
		switch {
		case h.chance(30) || l.status != "connected":
		case (kinds[h.kind].name == "alone" || kinds[h.kind].name == "ladder") && len(h.floor.legs) > 1:
			h.leave(label)
		case kinds[h.kind].name == "held" && !l.hold:
			l.hold = true
			h.tell(events.ParticipantHold, label)
		}
	}
}

// step is one thing that happens.
func (h *history) step() {
	if h.floor.status == "completed" {
		return
	}
	label := []string{"agent", "customer", "supervisor", "guest"}[h.rand.IntN(4)]
	leg := h.floor.legs[label]
	n := h.rand.IntN(20)
	if n >= 15 && n <= 17 && !h.operated {
		n -= 15
	}
	switch {
	case n < 8 && leg != nil && len(h.floor.legs) > 1:
		h.leave(label)
	case n < 10 && leg == nil:
		h.join(label)
	case n < 12 && leg == nil:
		h.dial(label)
	case n < 15 && leg != nil && leg.status == "connected":
		leg.hold = !leg.hold
		kind := events.ParticipantHold
		if !leg.hold {
			kind = events.ParticipantUnhold
		}
		h.tell(kind, label)
	case n == 15:
		h.inForce = h.rand.IntN(len(versions()))
		h.after(h.between(0, 2*time.Second), h.load)
	case n == 16:
		h.stopped = !h.stopped
	case n == 17 && h.room.Record != nil:
		h.exempt = time.Now().Add(h.between(time.Second, 2*time.Minute))
		until := h.exempt
		h.append(events.NewExempted(events.Exemption{
			ID: events.NewULID(), Key: h.key, Until: until.Add(time.Second), Reason: "x", Actor: events.Actor{Sid: kate}, At: time.Now(),
		}))
		h.after(time.Until(until), func() { h.change(func() {}) })
	case n == 18:
		h.braked = time.Now().Add(h.between(time.Second, time.Minute))
	case n == 19:
		h.generation.dead.Store(true)
		h.after(h.between(0, 3*time.Second), h.startPerformer)
	}
}

// change changes the floor, and notes whether the rule may act from then on.
func (h *history) change(do func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	do()
	may := h.inForce%3 == 0 && !h.stopped && !time.Now().Before(h.exempt) && h.floor.status != "completed" && kinds[h.kind].may(&h.floor)
	h.ruling = append(h.ruling, moment{time.Now(), h.inForce, may})
}

// mayAct reports whether the rule of a decision that has no outcome may act at some moment of the
// last 2 s.
func (h *history) mayAct() bool {
	made := map[string]bool{}
	for _, a := range h.room.Record.Actions {
		if d, err := rules.ReadDecision(h.decided[a.ID].Data); err == nil && a.Outcome == nil {
			made[d.Version] = true
		}
	}
	for i := len(h.ruling) - 1; i >= 0; i-- {
		if h.ruling[i].may && made[versions()[h.ruling[i].inForce].Version] {
			return true
		}
		if time.Since(h.ruling[i].at) > rules.MaxStateAge {
			return false
		}
	}
	return false
}

// lasts reports whether the rule's occasion goes on at the end of the history, whatever operators did
// before. The rule that is about an event needs the event, so that a leg that rings may hide it.
func (h *history) lasts() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.floor.legs {
		if l.status != "connected" {
			return false
		}
	}
	return !h.acted && kinds[h.kind].name != "left" && h.ruling[len(h.ruling)-1].may
}

func (h *history) join(label string) {
	h.legs++
	h.floor.legs[label] = &floorLeg{callSid: fmt.Sprintf("CA%030x%02x", h.seed, h.legs), status: "connected"}
	h.tell(events.ParticipantJoin, label)
}

// dial calls someone who answers, or not.
func (h *history) dial(label string) {
	h.legs++
	leg := &floorLeg{callSid: fmt.Sprintf("CA%030x%02x", h.seed, h.legs), status: "ringing"}
	h.floor.legs[label] = leg
	answers := h.chance(50)
	h.after(h.between(time.Second, 40*time.Second), func() {
		h.change(func() {
			switch {
			case h.floor.status == "completed" || h.floor.legs[label] != leg:
			case answers:
				leg.status = "connected"
				h.tell(events.ParticipantJoin, label)
			default:
				delete(h.floor.legs, label)
			}
		})
	})
}

func (h *history) leave(label string) {
	if h.floor.legs[label].status == "connected" {
		h.tell(events.ParticipantLeave, label)
	}
	delete(h.floor.legs, label)
}

// tell sends a callback, which takes its time.
func (h *history) tell(kind events.Kind, label string) {
	form := url.Values{
		"AccountSid": {account}, "ConferenceSid": {h.key.ConferenceSid}, "FriendlyName": {kinds[h.kind].name},
		"StatusCallbackEvent": {string(kind)}, "SequenceNumber": {strconv.Itoa(h.seq)}, "Timestamp": {time.Now().UTC().Format(time.RFC1123Z)},
	}
	h.seq++
	if leg := h.floor.legs[label]; leg != nil {
		form.Set("CallSid", leg.callSid)
		form.Set("ParticipantLabel", label)
		for _, flag := range []string{"Coaching", "EndConferenceOnExit"} {
			form.Set(flag, "false")
		}
		form.Set("Muted", strconv.FormatBool(leg.muted))
		form.Set("Hold", strconv.FormatBool(leg.hold))
		form.Set("StartConferenceOnEnter", "true")
	}
	delay := h.between(0, time.Second)
	if h.chance(10) {
		delay = h.between(0, 20*time.Second)
	}
	h.after(delay, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.append(events.Entry{Source: events.SourceCallback, ReceivedAt: time.Now(), Form: form.Encode()})
	})
}

// load brings the set in force into the lane, and wakes the conference.
func (h *history) load() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.append(events.NewRulesLoaded(events.Load{ID: events.NewULID(), Version: versions()[h.inForce].Version, At: time.Now()}))
	h.append(events.NewWake(h.key, time.Now()))
}

// append is the journal and the projector.
func (h *history) append(raw events.Entry) {
	e, err := events.Parse(raw)
	if err != nil {
		h.Fatalf("history %d: %v: %s", h.seed, err, raw.Form)
	}
	h.last.Sequence++
	room := &h.room
	if e.ConferenceSid == "" {
		room = nil
	}
	r, err := h.machine.Step(h.ctx, &lanes.Entry{Event: e, Raw: raw, At: h.last}, room)
	if err != nil {
		h.Fatalf("history %d: %v", h.seed, err)
	}
	h.machine.Announced(h.last.Sequence)
	for _, d := range r.Decisions {
		decided, err := lanes.Decided(d, 0, h.last)
		if _, known := h.decided[decided.ID]; err != nil || known {
			continue
		}
		h.decided[decided.ID] = decided
		h.deliver(0, func(ctx context.Context, p performed) error { return p.decision(ctx, decided) })
	}
	if !r.Alarm.IsZero() {
		h.after(time.Until(r.Alarm), func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.append(events.NewWake(h.key, time.Now()))
		})
	}
}

// deliver gives a message to a performer, again and again until it is settled.
func (h *history) deliver(after time.Duration, try func(context.Context, performed) error) {
	h.after(after, func() {
		select {
		case h.messages <- func(ctx context.Context, p performed) {
			if err := try(ctx, p); err != nil {
				h.deliver(200*time.Millisecond, try)
			}
		}:
		case <-h.ctx.Done():
		}
	})
}

// generation is one performer. Once it is dead, whatever it does has no effect.
type generation struct {
	*history
	dead   atomic.Bool
	stop   context.CancelFunc
	ctx    context.Context
	given  performed
	called chan struct{}
}

// startPerformer starts a performer in place of the one before.
func (h *history) startPerformer() {
	g := &generation{history: h, called: make(chan struct{}, 2)}
	g.ctx, g.stop = context.WithCancel(h.ctx)
	h.mu.Lock()
	if h.generation != nil {
		h.generation.dead.Store(true)
		h.generation.stop()
	}
	h.generation = g
	h.mu.Unlock()
	p := act.New(act.Config{
		Decisions: g, Timers: g, News: g, Records: g, Journal: journalOf{g}, Twilio: g, Rules: g, Brakes: g, DeadLetters: g, Notifier: notifiers{},
		Accounts: noAccounts(), PublicURL: public, Now: time.Now, Log: slog.New(slog.DiscardHandler), Metrics: historyMetrics(),
	})
	h.running.Add(2)
	go func() {
		defer h.running.Done()
		if err := p.Run(g.ctx); err != nil && !errors.Is(err, context.Canceled) {
			h.Errorf("history %d: %v", h.seed, err)
		}
	}()
	go func() {
		defer h.running.Done()
		<-g.called
		<-g.called
		for {
			select {
			case do := <-h.messages:
				h.running.Add(1)
				go func() { defer h.running.Done(); do(g.ctx, g.given) }()
			case <-g.ctx.Done():
				return
			}
		}
	}()
}

var historyMetrics = sync.OnceValue(func() *act.Metrics { return act.NewMetrics(prometheus.NewRegistry()) })

var noAccounts = sync.OnceValue(func() *twilio.Accounts {
	accounts, err := twilio.NewAccounts([]twilio.Account{{Sid: account, Tokens: twilio.KeyRing{Current: token}}})
	if err != nil {
		panic(err)
	}
	return accounts
})

func (g *generation) Perform(ctx context.Context, consumer string, _ int, fn func(context.Context, events.Decided) error) error {
	if consumer == "act-twilio" {
		g.given.decision = fn
		g.called <- struct{}{}
	}
	<-ctx.Done()
	return nil
}

func (g *generation) Dues(ctx context.Context, _ int, fn func(context.Context, events.Key, string, []byte) error) error {
	g.given.due = fn
	g.called <- struct{}{}
	<-ctx.Done()
	return nil
}

func (g *generation) Follow(ctx context.Context, _ string, _ []events.Kind, _ func(context.Context, events.StoredNews) error) error {
	<-ctx.Done()
	return nil
}

// Ended conferences are not fetched here.
func (g *generation) FollowNew(context.Context, string, []events.Kind, func(context.Context, events.StoredNews) error) error {
	return nil
}

func (g *generation) Unfollow(context.Context, string) error { return nil }

func (g *generation) CanCall(string) bool { return true }

func (g *generation) Get(_ context.Context, _ events.Key, id string) (events.Decided, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.decided[id], nil
}

func (g *generation) Decide(context.Context, []events.Decided) (int, error) { return 0, nil }

func (g *generation) Later(_ context.Context, key events.Key, id string, at time.Time, note []byte) error {
	if g.dead.Load() {
		return errDead
	}
	g.deliver(time.Until(at), func(ctx context.Context, p performed) error { return p.due(ctx, key, id, note) })
	return nil
}

func (g *generation) Conference(context.Context, events.Key) (projections.Stored, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.room.Record == nil {
		return projections.Stored{}, projections.ErrNotFound
	}
	return g.room.Stored()
}

// journalOf is the journal of a performer.
type journalOf struct{ *generation }

func (j journalOf) Append(_ context.Context, _ string, e events.Entry) error {
	if j.dead.Load() {
		return errDead
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.append(e)
	return nil
}

// Set is the machine's loader too.
func (h *history) Set(_ context.Context, version string) (*rules.Set, error) {
	for _, set := range versions() {
		if set.Version == version {
			return set, nil
		}
	}
	return nil, errors.New("unknown version")
}

func (g *generation) Current(context.Context) (*rules.Set, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return versions()[g.inForce], nil
}

func (g *generation) Admit(context.Context, brakes.Request) (brakes.Verdict, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dead.Load() {
		return brakes.Verdict{}, errDead
	}
	if time.Now().Before(g.braked) {
		return brakes.Verdict{Answer: brakes.Wait, Until: g.braked}, nil
	}
	return brakes.Verdict{Answer: brakes.Admitted}, nil
}

func (g *generation) Stopped(context.Context) (bool, brakes.Stop, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stopped, brakes.Stop{}, nil
}

func (g *generation) Put(context.Context, events.DeadLetter) error { return nil }

// weather is what becomes of one request.
type weather struct {
	there, back time.Duration
	status      int  // answered instead; 0: the request is carried out
	silent      bool // no answer
	hidden      bool // carried out although it is silent or fails
	part        bool // the list lacks a page
}

func (h *history) weather() weather {
	w := weather{there: h.between(5*time.Millisecond, 50*time.Millisecond), back: h.between(5*time.Millisecond, 50*time.Millisecond)}
	if !h.faulty || !h.chance(25) {
		return w
	}
	w.hidden = h.chance(50)
	switch h.rand.IntN(6) {
	case 0:
		w.there = h.between(0, 1500*time.Millisecond)
	case 1:
		w.back = h.between(0, 3*time.Second)
	case 2:
		w.status = []int{404, 429}[h.rand.IntN(2)]
	case 3:
		w.status = http.StatusInternalServerError
	case 4:
		w.silent = true
	case 5:
		w.part = true
	}
	return w
}

// Call is Twilio's REST API, behind a network.
func (g *generation) Call(ctx context.Context, call twilio.Call) (twilio.Answer, error) {
	g.mu.Lock()
	w := g.weather()
	g.mu.Unlock()
	if call.Before != nil {
		if err := call.Before(ctx); err != nil {
			return twilio.Answer{}, fmt.Errorf("call twilio: %w", err)
		}
		if g.dead.Load() {
			return twilio.Answer{}, errDead
		}
		g.sent(call)
	}
	if call.Sending != nil {
		call.Sending()
	}
	if err := sleep(ctx, w.there); err != nil {
		return twilio.Answer{}, fmt.Errorf("%w: %w", twilio.ErrSilent, err)
	}
	answer := g.answer(call, w)
	if w.silent {
		<-ctx.Done()
	}
	if err := sleep(ctx, w.back); err != nil {
		return twilio.Answer{}, fmt.Errorf("%w: %w", twilio.ErrSilent, err)
	}
	return answer, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sent checks that the rule may act when its request is sent.
func (g *generation) sent(call twilio.Call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.mayAct() {
		g.Errorf("history %d: %s was sent %s after the beginning, and %s might not act: %d legs, set %d, stopped %t, exempt for %s",
			g.seed, call.Kind, time.Since(g.began), kinds[g.kind].name, len(g.floor.legs), g.inForce, g.stopped, time.Until(g.exempt))
	}
}

// answer carries a request out, and returns its answer.
func (g *generation) answer(call twilio.Call, w weather) twilio.Answer {
	answer := func(status int, body string) twilio.Answer { return twilio.Answer{Status: status, Body: []byte(body)} }
	if w.status != 0 && (!w.hidden || w.status < http.StatusInternalServerError) || w.silent && !w.hidden {
		return answer(w.status, `{"code": 20000}`)
	}
	found, body := false, `{}`
	switch {
	case call.Before != nil:
		g.change(func() { found = g.carryOut(call) })
	default:
		g.mu.Lock()
		found, body = true, g.show(call.Path, w.part)
		g.mu.Unlock()
	}
	switch {
	case w.status != 0:
		return answer(w.status, `{"code": 20000}`)
	case !found:
		return answer(http.StatusNotFound, `{"code": 20404}`)
	}
	return answer(http.StatusOK, body)
}

// carryOut changes the floor as a write requests; false if its target is gone.
func (g *generation) carryOut(call twilio.Call) bool {
	if g.floor.status == "completed" {
		return call.Kind == "end"
	}
	if call.Kind == "end" {
		g.acted = true
		g.floor.status = "completed"
		clear(g.floor.legs)
		g.tell(events.ConferenceEnd, "")
		return true
	}
	for label, leg := range g.floor.legs {
		if !strings.Contains(call.Path, leg.callSid) {
			continue
		}
		if muted := strings.Contains(call.Form, "Muted=true"); muted || strings.Contains(call.Form, "Muted=false") {
			leg.muted = muted
			g.tell(map[bool]events.Kind{true: events.ParticipantMute, false: events.ParticipantUnmute}[muted], label)
			return true
		}
		g.acted = true
		g.leave(label)
		return true
	}
	return false
}

// show is a resource: the conference, or a page of its participants.
func (g *generation) show(path string, part bool) string {
	if !strings.Contains(path, "/Participants.json") {
		return fmt.Sprintf(`{"status": %q}`, g.floor.status)
	}
	var legs []string
	for label, l := range g.floor.legs {
		legs = append(legs, fmt.Sprintf(`{"call_sid": %q, "label": %q, "status": %q, "hold": %t, "muted": %t, "start_conference_on_enter": true}`, l.callSid, label, l.status, l.hold, l.muted))
	}
	next := ""
	if part && len(legs) > 0 {
		legs, next = legs[1:], "/elsewhere"
	}
	return fmt.Sprintf(`{"participants": [%s], "next_page_uri": %q}`, strings.Join(legs, ","), next)
}
