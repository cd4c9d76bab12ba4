package act_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"gavel/events"
	"gavel/handlers/act"
	"gavel/internal/brakes"
	"gavel/internal/twilio"
	"gavel/internal/twilio/twiliofake"
)

// everything has a rule for each kind of operation, selected by the room's name.
const everything = `
ceiling: {per_minute: 100000}
rules:
  - name: end
    when: conference.status == "in-progress" && conference.friendly_name.startsWith("end-")
    do: [{end: {}}]
    limits: {per_minute: 100000, trip_after: 100000}
    mode: live
  - name: kick
    each: participant
    when: conference.status == "in-progress" && conference.friendly_name.startsWith("kick-") && participant.label == "customer"
    do: [{kick: {}}]
    limits: {per_minute: 100000, trip_after: 100000}
    mode: live
  - name: mute
    each: participant
    when: conference.status == "in-progress" && conference.friendly_name.startsWith("mute-") && participant.label == "customer" && !participant.muted
    do: [{mute: {}}]
    limits: {per_minute: 100000, trip_after: 100000}
    mode: live
  - name: hold
    each: participant
    when: conference.status == "in-progress" && conference.friendly_name.startsWith("hold-") && participant.label == "customer" && !participant.hold
    do: [{hold: {hold_url: "https://music.example/wait"}}]
    limits: {per_minute: 100000, trip_after: 100000}
    mode: live
  - name: announce
    when: conference.status == "in-progress" && conference.friendly_name.startsWith("announce-")
    do: [{announce: {say: "Are you still there?"}}]
    limits: {per_minute: 100000, trip_after: 100000}
    mode: live
  - name: set
    each: participant
    when: conference.status == "in-progress" && conference.friendly_name.startsWith("set-") && participant.label == "customer"
    do: [{set: {end_conference_on_exit: true, when_held: unhold}}]
    limits: {per_minute: 100000, trip_after: 100000}
    mode: live
`

// A performer dies at each of its steps, right before and right after it, and
// another one takes over. Each operation is done, each is recorded once, and Twilio
// carried each out once, but for those that may be asked for twice.
func TestACrashAtAnyStepConverges(t *testing.T) {
	t.Parallel()
	for kind, deed := range map[string]struct {
		counted twiliofake.Call // carried out once, however often it is asked for
		held    bool            // the customer is on hold
		end     string
	}{
		"end":      {counted: twiliofake.EndConference, end: "end done"},
		"kick":     {counted: twiliofake.KickParticipant, end: "kick done"},
		"mute":     {end: "update-participant done"},
		"hold":     {end: "update-participant done"},
		"announce": {end: "announce done"},
		"set":      {held: true, end: "update-participant done"},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := open(t, everything)
			deaths := 0
			for step := 1; ; step++ {
				died := false
				for _, after := range []bool{false, true} {
					r := w.enter(fmt.Sprintf("%s-%d-%t", kind, step, after), "agent", "customer")
					if deed.held {
						r.hold("customer")
					}
					died = r.crash(step, after) || died
					r.finish(deed.end, kind == "announce")
					r.converged(kind)
				}
				if !died {
					break
				}
				deaths++
			}
			if deaths < 5 {
				t.Errorf("the performer died at %d steps only", deaths)
			}
			if deed.counted != "" {
				if got, want := w.fake.Tally(deed.counted).Done, 2*(deaths+1); got != want {
					t.Errorf("Twilio carried out %d, want %d", got, want)
				}
			}
		})
	}
}

// crash performs until the performer dies at that step, or is done before it.
func (r *room) crash(step int, after bool) (died bool) {
	r.Helper()
	m := &mortal{left: step, after: after, dead: make(chan struct{})}
	c := r.config
	c.Journal, c.Timers, c.Brakes, c.Twilio = mortalJournal{m, c.Journal}, mortalTimers{m, c.Timers}, mortalBrakes{m, c.Brakes}, mortalTwilio{m, c.Twilio}
	_, stop := r.performWith(c)
	defer stop()
	r.await("it is dead or done", func() bool {
		r.clock.hurry("stopped", "rules", "unsent")
		select {
		case <-m.dead:
			return true
		default:
			_, announced := r.clock.alarm("announced")
			return len(r.outcomes()) > 0 || announced
		}
	})
	select {
	case <-m.dead:
		return true
	default:
		return false
	}
}

// finish lets another performer do the rest.
func (r *room) finish(want string, announced bool) {
	r.Helper()
	_, stop := r.perform()
	defer stop()
	if announced {
		r.await("Twilio has accepted the announcement", func() bool { return len(r.announceURLs()) > 0 && r.accepted() })
		r.heard(r.announceURLs()[0], events.AnnouncementEnd)
	}
	r.await("it has an outcome", func() bool {
		r.clock.advance(100 * time.Millisecond)
		return len(r.outcomes()) > 0
	})
	stop()
	r.clock.drop()
	got := r.outcomes()
	for i := range got { // the process that saw it done need not have done it
		for _, why := range []string{" already", " seen", " heard"} {
			if n := len(got[i]) - len(why); n > 0 && got[i][n:] == why {
				got[i] = got[i][:n]
			}
		}
	}
	if !slices.Equal(got, []string{want}) {
		r.Errorf("%s: the outcomes are %q, want one: %q", r.name, got, want)
	}
}

// accepted reports whether an announcement's end is waited for.
func (r *room) accepted() bool {
	_, is := r.clock.alarm("announced")
	return is
}

// converged compares the stand-in with what was decided.
func (r *room) converged(kind string) {
	r.Helper()
	legs := r.listed()
	customer, there := legs["customer"]
	switch {
	case kind == "end" && r.status() != "completed",
		kind == "kick" && there,
		kind == "mute" && !customer.Muted,
		kind == "hold" && !customer.Hold,
		kind == "set" && (!customer.Hold || !customer.End):
		r.Errorf("%s: Twilio has %+v", r.name, legs)
	}
}

var errDead = errors.New("dead")

// mortal dies at one step, and does nothing more.
type mortal struct {
	after bool

	mu   sync.Mutex
	left int
	dead chan struct{}
}

// step does one, or dies at it.
func (m *mortal) step(do func() error) error {
	m.mu.Lock()
	m.left--
	left := m.left
	m.mu.Unlock()
	switch {
	case left < 0:
		return errDead
	case left > 0:
		return do()
	}
	if m.after {
		_ = do()
	}
	close(m.dead)
	return errDead
}

type mortalJournal struct {
	*mortal
	act.Journal
}

func (j mortalJournal) Append(ctx context.Context, conferenceSid string, e events.Entry) error {
	return j.step(func() error { return j.Journal.Append(ctx, conferenceSid, e) })
}

type mortalTimers struct {
	*mortal
	act.Timers
}

func (a mortalTimers) Later(ctx context.Context, key events.Key, id string, at time.Time, note []byte) error {
	return a.step(func() error { return a.Timers.Later(ctx, key, id, at, note) })
}

type mortalBrakes struct {
	*mortal
	act.Brakes
}

func (b mortalBrakes) Admit(ctx context.Context, request brakes.Request) (v brakes.Verdict, err error) {
	err = b.step(func() (err error) {
		v, err = b.Brakes.Admit(ctx, request)
		return err
	})
	return v, err
}

type mortalTwilio struct {
	*mortal
	act.Twilio
}

func (x mortalTwilio) Call(ctx context.Context, call twilio.Call) (answer twilio.Answer, err error) {
	err = x.step(func() (err error) {
		answer, err = x.Twilio.Call(ctx, call)
		return err
	})
	return answer, err
}
