package twiliofake_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/internal/twilio/twiliofake"
)

func TestAStorySendsTheCallbacksOfItsSteps(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	s := x.NewStory()
	customer := s.Customer("customer").EndsOnExit().Calls("support-1")
	s.Passes(20 * time.Second)
	kate := s.Agent("kate").Answers("support-1")
	s.Passes(time.Minute)
	kate.Holds(customer)
	customer.Hears("https://example.com/please-wait.mp3")
	s.Passes(30 * time.Second)
	lee := s.Agent("lee")
	kate.TransfersTo(lee)
	kate.Calls("support-1")
	kim := s.Agent("kim").Coaches(lee)
	lee.TakesBack(customer)
	lee.Speaks(5 * time.Second)
	kim.StopsCoaching()
	kim.Unmutes()
	kim.IsKicked()
	s.Announces("support-1", "https://example.com/closing.mp3")
	s.Passes(time.Minute)
	customer.HangsUp()
	x.plays(s)

	want := []string{
		"participant-join customer", "participant-join kate", "conference-start", "participant-hold customer",
		"announcement-end customer", "participant-join lee", "participant-leave kate", "participant-join kate",
		"participant-join kim", "participant-unhold customer", "participant-speech-start lee", "participant-speech-stop lee",
		"participant-modify kim", "participant-unmute kim", "participant-leave kim", "announcement-end",
		"participant-leave customer", "participant-leave lee", "participant-leave kate", "conference-end",
	}
	if diff := cmp.Diff(want, x.callbacks(customer.ConferenceSid())); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	end := x.last("conference-end")
	if end.Get("CallSidEndingConference") != customer.CallSid() || end.Get("Timestamp") != "Mon, 03 Aug 2026 09:02:55 +0000" {
		t.Errorf("the end is %v", end)
	}
}

func TestAStoryContinuesAfterPlays(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	s := x.NewStory()
	kate := s.Agent("kate").Answers("support-1")
	s.Passes(time.Minute)
	x.plays(s)
	if got := x.callbacks(kate.ConferenceSid()); len(got) != 1 {
		t.Errorf("after the first act: %v", got)
	}
	kate.HangsUp()
	x.plays(s)
	if end := x.last("conference-end"); end.Get("Timestamp") != "Mon, 03 Aug 2026 09:01:00 +0000" {
		t.Errorf("after the second act: %v", end)
	}
}

func TestAStoryThatBreaksARuleNamesTheStep(t *testing.T) {
	t.Parallel()
	for want, write := range map[error]func(*twiliofake.Story){
		twiliofake.ErrNoParticipant: func(s *twiliofake.Story) { s.Agent("kate").HangsUp() },
		twiliofake.ErrLabelTaken: func(s *twiliofake.Story) {
			s.Agent("kate").Answers("support-1")
			s.Customer("kate").Calls("support-1")
		},
		twiliofake.ErrNoConference: func(s *twiliofake.Story) { s.Ends("support-1") },
		twiliofake.ErrLabelInvalid: func(s *twiliofake.Story) { s.Agent("kate/lee").Answers("support-1") },
	} {
		x := opens(t, nil)
		s := x.NewStory()
		write(s)
		after := s.Agent("after").Calls("elsewhere")
		if err := s.Plays(t.Context()); !errors.Is(err, want) {
			t.Errorf("the story returns %v, want %v", err, want)
		}
		if after.ConferenceSid() != "" {
			t.Errorf("%v: the story continued", want)
		}
	}
}

func TestAStoryWithoutRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	twilio := twiliofake.New(twiliofake.Config{AccountSid: account, AuthToken: authToken})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := twilio.NewStory().Plays(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Plays: %v", err)
	}
}

// Whatever people and REST do, in any order and whether allowed or not, the callbacks keep the law.
func TestAnyPlayKeepsTheLaw(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		x := opens(t, func(c *twiliofake.Config) { c.Seed, c.Phone = seed, phonebook })
		p := &improvisation{exchange: x, chance: rand.New(rand.NewPCG(seed, 1))}
		for range 120 {
			p.step()
		}
		p.emptyRooms()
		x.settles(time.Minute)
		p.judge()
	}
}

// improvisation draws what happens next.
type improvisation struct {
	*exchange

	chance *rand.Rand
	calls  []string
}

func (p *improvisation) step() {
	room := fmt.Sprint("room-", p.chance.IntN(3))
	flag := func() string { return fmt.Sprint(p.chance.IntN(2) == 0) }
	call := "CA00000000000000000000000000000000"
	if len(p.calls) > 0 {
		call = p.calls[p.chance.IntN(len(p.calls))]
	}
	switch p.chance.IntN(10) {
	case 0, 1, 2:
		label := []string{"", "kate", "customer"}[p.chance.IntN(3)]
		_, sid, err := p.Join(room, twiliofake.Leg{
			Label: label, StartConferenceOnEnter: flag() == "true", EndConferenceOnExit: p.chance.IntN(4) == 0,
			Status: twiliofake.Subscription{URL: hooks + "conference"}, MaxParticipants: 4,
		})
		if err == nil {
			p.calls = append(p.calls, sid)
		}
	case 3, 4:
		number := []string{willing, busy, asleep}[p.chance.IntN(3)]
		made := p.exchange.calls(room, number, "EarlyMedia", flag(), "StartConferenceOnEnter", flag(), "Timeout", "5",
			"ConferenceStatusCallbackEvent", "mute hold modify announcement speaker")
		if made.status == 201 {
			p.calls = append(p.calls, made.body["call_sid"].(string))
		}
	case 5:
		_ = p.HangUp(call) // it may have left
	case 6:
		_ = p.Hold(call, flag() == "true")
	case 7, 8:
		p.byREST(call, flag)
	case 9:
		p.settles(time.Duration(p.chance.IntN(9)) * time.Second)
	}
}

// byREST does something to the conference of a call, if the call is in one.
func (p *improvisation) byREST(call string, flag func() string) {
	for _, sid := range p.do("GET", "Conferences.json").items("conferences") {
		path := "Conferences/" + sid + "/Participants/" + call + ".json"
		if p.do("GET", path).status != 200 {
			continue
		}
		switch p.chance.IntN(5) {
		case 0:
			p.do("DELETE", path)
		case 1:
			p.do("POST", "Conferences/"+sid+".json", "Status", "completed")
		case 2:
			p.do("POST", "Conferences/"+sid+".json", "AnnounceUrl", "https://example.com/a.mp3")
		default:
			p.do("POST", path, "Muted", flag(), "Hold", flag(), "EndConferenceOnExit", flag(), "AnnounceUrl", "https://example.com/b.mp3")
		}
		return
	}
}

func (p *improvisation) emptyRooms() {
	for _, call := range slices.Backward(p.calls) {
		_ = p.HangUp(call) // it may have left
	}
}

// judge checks the callbacks against the law.
func (p *improvisation) judge() {
	p.t.Helper()
	p.receiver.mu.Lock()
	defer p.receiver.mu.Unlock()
	all := p.byConference(p.t)
	if len(all) < 3 {
		p.t.Errorf("only %d conferences were played", len(all))
	}
	for sid, sent := range all {
		legal := newLaw(p.t, sid)
		for _, event := range sent {
			legal.accept(event)
		}
		if !legal.ended {
			p.t.Errorf("conference %s never ended", sid)
		}
	}
}
