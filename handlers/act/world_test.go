package act_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/events"
	"gavel/handlers/act"
	"gavel/internal/brakes"
	"gavel/internal/bus"
	"gavel/internal/rulebook"
	"gavel/internal/twilio"
	"gavel/internal/twilio/twiliofake"
	"gavel/lanes"
	"gavel/projections"
	"gavel/projections/ministore"
	"gavel/rules"
)

// What is real in these tests: nats-server with the journal, decisions, news, dead letters, the
// rule book and the brakes; the store; Gavel's client over HTTP. Twilio is its stand-in, time is
// the test's own (clock_test.go), and where a projector would be, the world steps the lane's state
// machine as soon as an entry is appended.

const (
	account = "AC00000000000000000000000000000001"
	token   = "token"
	public  = "https://gavel.example"
	// kate is a person with an API key.
	kate = "SK00000000000000000000000000000001"
)

type world struct {
	*testing.T
	clock  *clock
	bus    *bus.Bus
	store  *ministore.Store
	fake   *twiliofake.Twilio
	book   *rulebook.Book
	brakes *brakes.Brakes
	set    *rules.Set
	config act.Config
	// patience is how long a call to Twilio is waited for.
	patience time.Duration

	mu      sync.Mutex
	last    events.Position
	machine *lanes.Machine
	seq     map[string]int // SequenceNumbers by conference
	asked   []url.Values   // the forms of all writes that reached Twilio

	appended []*events.Event // to the journal
	region   string          // whose key signed the callbacks
	// storm is what writes are answered without Twilio having seen them, by their number from 1.
	storm map[int]int
	// afterWrite, if set, is called after each write was answered, with its number from 1.
	afterWrite func(n int)
}

// open makes a world where these rules are in force.
func open(t *testing.T, ruleFile string) *world {
	t.Helper()
	w := &world{T: t, clock: newClock(), seq: map[string]int{}, patience: 5 * time.Second}
	quiet := slog.New(slog.DiscardHandler)
	var err error
	w.bus, err = bus.Open(t.Context(), bus.Config{DataDir: t.TempDir(), Sync: bus.SyncInterval, Listen: bus.ListenOff, JournalMaxBytes: 1 << 28}, quiet)
	w.must(err)
	t.Cleanup(func() { w.must(w.bus.Close(context.WithoutCancel(t.Context()))) })
	w.store, err = ministore.Open(ministore.NewRedis(), w.bus.Info().Lanes, quiet)
	w.must(err)
	t.Cleanup(func() { _ = w.store.Close() })
	w.fill()
	w.fake = twiliofake.New(twiliofake.Config{AccountSid: account, AuthToken: token})
	w.rule(ruleFile, quiet)
	w.brakes = brakes.New(w.bus.Brakes(), w.clock.Now)
	accounts, err := twilio.NewAccounts([]twilio.Account{{Sid: account, Tokens: twilio.KeyRing{Current: token}}})
	w.must(err)
	w.config = act.Config{
		Decisions: w.bus.Actions(), Timers: w.clock, News: w.bus.News(), Records: w.store, Journal: w,
		Twilio: w.client(accounts), Rules: w.book, Brakes: w.brakes, DeadLetters: w.bus.DeadLetters(),
		Notifier: notifiers{}, Accounts: accounts, PublicURL: public,
		Now: w.clock.Now, Log: quiet, Metrics: act.NewMetrics(prometheus.NewRegistry()),
	}
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// rule puts a set in force, as a process does at its start.
func (w *world) rule(file string, log *slog.Logger) {
	w.Helper()
	var err error
	w.set, err = rules.Parse(rules.File{Name: "rules.yaml", Text: file})
	w.must(err)
	w.book, err = rulebook.Open(w.Context(), w.bus.Rules(), log)
	w.must(err)
	_, err = w.book.Propose(w.Context(), w.set, "test", rulebook.Start)
	w.must(err)
	w.machine, err = lanes.New(w.book, nil)
	w.must(err)
	loaded, err := events.Parse(events.NewRulesLoaded(events.Load{ID: events.NewULID(), Version: w.set.Version, At: w.clock.Now()}))
	w.must(err)
	w.last.Sequence++
	_, err = w.machine.Step(w.Context(), &lanes.Entry{Event: loaded, At: w.last}, nil)
	w.must(err)
}

// fill makes the picture of an empty journal.
func (w *world) fill() {
	w.Helper()
	for lane := range w.bus.Info().Lanes {
		build, err := w.store.Build(w.Context(), lane)
		w.must(err)
		w.must(build.Commit(w.Context(), events.Position{}, nil))
		w.must(w.store.Check(w.Context(), lane, 0))
	}
}

// client is Gavel's own, to the stand-in; what it writes is kept.
func (w *world) client(accounts *twilio.Accounts) act.Twilio {
	server := httptest.NewServer(w.fake.Handler())
	w.Cleanup(server.Close)
	c := twilio.NewClient(twilio.ClientConfig{
		Base: server.URL, Accounts: accounts, Metrics: twilio.NewClientMetrics(prometheus.NewRegistry()),
	})
	w.Cleanup(c.Close)
	return &wire{c, w}
}

// wire is the client with less patience, so that a silent Twilio does not take all day.
type wire struct {
	client *twilio.Client
	world  *world
}

func (x *wire) CanCall(accountSid string) bool { return x.client.CanCall(accountSid) }

func (x *wire) Call(ctx context.Context, call twilio.Call) (twilio.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, x.world.patience)
	defer cancel()
	before := call.Before
	if before == nil {
		return x.client.Call(ctx, call)
	}
	instead := 0
	call.Before = func(ctx context.Context) error {
		err := before(ctx)
		if err == nil {
			instead = x.world.note(call)
		}
		if instead > 0 {
			return errStorm
		}
		return err
	}
	answer, err := x.client.Call(ctx, call)
	if x.world.afterWrite != nil {
		x.world.afterWrite(len(x.world.writes()))
	}
	if instead > 0 {
		return twilio.Answer{Status: instead}, nil
	}
	return answer, err
}

var errStorm = errors.New("the call does not get through")

// note keeps what is asked, and returns what is to be answered instead, if anything is.
func (w *world) note(call twilio.Call) (instead int) {
	form, err := url.ParseQuery(call.Form)
	if err != nil {
		form = url.Values{"unreadable": {call.Form}}
	}
	form.Set("method", call.Method)
	form.Set("path", call.Path)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, form)
	return w.storm[len(w.asked)]
}

// writes are the forms of all writes that went to Twilio.
func (w *world) writes() []url.Values {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

// Append is the journal and, right behind it, the projector.
func (w *world) Append(ctx context.Context, conferenceSid string, e events.Entry) error {
	if e.Source == events.SourceCallback {
		e.Region = w.region
	}
	if err := w.bus.Journal().Append(ctx, conferenceSid, e); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.project(ctx, e)
}

// project steps the lane, publishes what was decided, and saves.
func (w *world) project(ctx context.Context, raw events.Entry) error {
	parsed, err := events.Parse(raw)
	if err != nil {
		return err
	}
	w.last.Sequence++
	e := &lanes.Entry{Event: parsed, Raw: raw, At: w.last}
	w.appended = append(w.appended, &e.Event)
	if e.Event.ConferenceSid == "" {
		return nil
	}
	lane := events.Lane(e.Event.ConferenceSid, w.bus.Info().Lanes)
	kept, err := w.store.Load(ctx, lane, []events.Key{e.Event.Key()})
	if err != nil {
		return err
	}
	c, err := lanes.Open(kept[0])
	if err != nil {
		return err
	}
	before := c
	r, err := w.machine.Step(ctx, e, &c)
	if err != nil {
		return err
	}
	for _, d := range r.Decisions {
		decided, err := lanes.Decided(d, lane, e.At)
		if err != nil {
			return err
		}
		if _, err := w.bus.Actions().Decide(ctx, []events.Decided{decided}); err != nil {
			return err
		}
	}
	if !r.Changed {
		return nil
	}
	write, err := c.Write(&before)
	if err != nil {
		return err
	}
	return w.store.Save(ctx, lane, []projections.Write{write})
}

// room is a conference of the stand-in's with these legs in it, as its callbacks reported.
type room struct {
	*world
	key  events.Key
	name string
	legs map[string]string // CallSids by label
}

// enter opens a room with legs of these labels.
func (w *world) enter(name string, labels ...string) *room {
	w.Helper()
	r := &room{world: w, name: name, legs: map[string]string{}}
	for _, label := range labels {
		r.join(label)
	}
	r.tell(events.ConferenceStart, "", nil)
	return r
}

// join adds a participant, with a callback.
func (r *room) join(label string) {
	r.Helper()
	r.comeIn(label)
	r.tell(events.ParticipantJoin, label, nil)
}

// comeIn adds a participant without a callback.
func (r *room) comeIn(label string) {
	r.Helper()
	conference, call, err := r.fake.Join(r.name, twiliofake.Leg{Label: label, StartConferenceOnEnter: true})
	r.must(err)
	r.key = events.Key{AccountSid: account, ConferenceSid: conference}
	r.legs[label] = call
}

// leave removes a participant, with a callback.
func (r *room) leave(label string) {
	r.Helper()
	r.goAway(label)
	r.tell(events.ParticipantLeave, label, nil)
}

// goAway removes a participant without a callback.
func (r *room) goAway(label string) {
	r.Helper()
	r.must(r.fake.HangUp(r.legs[label]))
}

// hold puts a participant on hold, with a callback.
func (r *room) hold(label string) {
	r.Helper()
	r.must(r.fake.Hold(r.legs[label], true))
	r.tell(events.ParticipantHold, label, map[string]string{"Hold": "true"})
}

// tell sends a callback that is received right away.
func (r *room) tell(kind events.Kind, label string, params map[string]string) {
	r.Helper()
	r.tellAged(kind, label, 0, params)
}

// tellAged sends a callback that was delayed.
func (r *room) tellAged(kind events.Kind, label string, age time.Duration, params map[string]string) {
	r.Helper()
	now := r.clock.Now()
	form := url.Values{
		"AccountSid": {account}, "ConferenceSid": {r.key.ConferenceSid}, "FriendlyName": {r.name},
		"StatusCallbackEvent": {string(kind)}, "SequenceNumber": {fmt.Sprint(r.seq[r.key.ConferenceSid])},
		"Timestamp": {now.Add(-age).UTC().Format(time.RFC1123Z)},
	}
	r.seq[r.key.ConferenceSid]++
	if label != "" {
		form.Set("CallSid", r.legs[label])
		form.Set("ParticipantLabel", label)
		for _, flag := range []string{"Muted", "Hold", "Coaching", "EndConferenceOnExit"} {
			form.Set(flag, "false")
		}
		form.Set("StartConferenceOnEnter", "true")
	}
	for name, value := range params {
		form.Set(name, value)
	}
	r.must(r.Append(r.Context(), r.key.ConferenceSid, events.Entry{Source: events.SourceCallback, ReceivedAt: now, Form: form.Encode()}))
}

// wake lets time go by and has the room judged.
func (r *room) wake(after time.Duration) {
	r.Helper()
	r.clock.advance(after)
	r.must(r.Append(r.Context(), r.key.ConferenceSid, events.NewWake(r.key, r.clock.Now())))
}

// record is the room as the picture shows it.
func (r *room) record() *projections.Conference {
	r.Helper()
	stored, err := r.store.Conference(r.Context(), r.key)
	r.must(err)
	return stored.Conference
}

// status is the room's, as the stand-in has it.
func (r *room) status() string {
	r.Helper()
	answer, err := r.config.Twilio.Call(r.Context(), twilio.Call{
		AccountSid: account, Kind: "test", Method: http.MethodGet,
		Path: "/2010-04-01/Accounts/" + account + "/Conferences/" + r.key.ConferenceSid + ".json",
	})
	r.must(err)
	var said struct{ Status string }
	r.must(json.Unmarshal(answer.Body, &said))
	return said.Status
}

// listed are the legs that the stand-in lists, by label.
func (r *room) listed() map[string]listedLeg {
	r.Helper()
	answer, err := r.config.Twilio.Call(r.Context(), twilio.Call{
		AccountSid: account, Kind: "test", Method: http.MethodGet,
		Path: "/2010-04-01/Accounts/" + account + "/Conferences/" + r.key.ConferenceSid + "/Participants.json",
	})
	r.must(err)
	var said struct{ Participants []listedLeg }
	r.must(json.Unmarshal(answer.Body, &said))
	legs := map[string]listedLeg{}
	for _, l := range said.Participants {
		legs[l.Label] = l
	}
	return legs
}

type listedLeg struct {
	Label       string
	Muted, Hold bool
	End         bool `json:"end_conference_on_exit"`
}

// outcomes are how the room's decisions ended, in the order of the journal, as "end done already".
func (r *room) outcomes() []string {
	r.Helper()
	var all []string
	for _, e := range r.journal() {
		if e.Kind != events.ActionOutcome || e.ConferenceSid != r.key.ConferenceSid {
			continue
		}
		a, err := e.Action()
		r.must(err)
		o, err := e.Outcome()
		r.must(err)
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s", a.Do, o.Result, o.Why)))
	}
	return all
}

// kinds are the entries of Gavel's own about the room, in the journal's order.
func (r *room) kinds() []string {
	r.Helper()
	var all []string
	for _, e := range r.journal() {
		if e.Source == events.SourceGavel && e.Kind != events.Wake && e.ConferenceSid == r.key.ConferenceSid {
			all = append(all, strings.TrimPrefix(string(e.Kind), "gavel-"))
		}
	}
	return all
}

// journal is all of it, in its order.
func (w *world) journal() []*events.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.appended)
}

// perform starts a performer and returns how to stop it, which waits for its end.
func (w *world) perform() (p *act.Performer, stop func()) {
	w.Helper()
	return w.performWith(w.config)
}

func (w *world) performWith(c act.Config) (p *act.Performer, stop func()) {
	w.Helper()
	p = act.New(c)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := p.Run(ctx); err != nil {
			w.Errorf("performer: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	w.Cleanup(stop)
	return p, stop
}

// await polls a real condition; a performer does not signal that it is done.
func (w *world) await(what string, ok func() bool) {
	w.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			w.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}

// ends waits until the room's decisions ended like this, and no more did.
func (r *room) ends(want ...string) {
	r.Helper()
	r.await(fmt.Sprintf("it ended %q", want), func() bool {
		r.clock.hurry("rules", "unsent")
		return len(r.outcomes()) >= len(want)
	})
	if got := r.outcomes(); !slices.Equal(got, want) {
		r.Errorf("the outcomes are %q, want %q", got, want)
	}
	r.agree()
}

// agree holds that all entries of one action say the same of it, but for how
// the state at Twilio was fetched: any of them may be folded first.
func (r *room) agree() {
	r.Helper()
	said := map[string]events.Action{}
	for _, e := range r.journal() {
		if e.Kind != events.ActionIntent && e.Kind != events.ActionOutcome {
			continue
		}
		a, err := e.Action()
		r.must(err)
		a.Seen = ""
		if before, told := said[a.ID]; told && before != a {
			r.Errorf("one entry has %+v, another %+v", before, a)
		}
		said[a.ID] = a
	}
}

// waits waits until a decision waits for that reason, and returns how long.
func (w *world) waits(why string) time.Duration {
	w.Helper()
	var until time.Time
	w.await("something waits: "+why, func() bool {
		var found bool
		until, found = w.clock.alarm(why)
		return found
	})
	return until.Sub(w.clock.Now())
}

// letters are the reasons of all dead letters.
func (w *world) letters() []string {
	w.Helper()
	all, err := w.bus.DeadLetters().List(w.Context(), 100)
	w.must(err)
	var reasons []string
	for _, l := range all {
		reasons = append(reasons, l.Reason)
	}
	return reasons
}

// notifiers send nothing.
type notifiers struct{}

func (notifiers) Notify(context.Context, rules.Decision) (events.Outcome, error) {
	return events.Outcome{Result: events.Done, Status: http.StatusOK}, nil
}
