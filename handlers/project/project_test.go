package project_test

import (
	"errors"
	"slices"
	"testing"

	"gavel/events"
	"gavel/projections"
)

func TestACallBecomesARecordAndNews(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	run(t, s.config())
	s.tell(t, call(1)...)
	s.settled(t)
	s.agree(t, 1)
	if got := s.stored(t, 1); got.Status() != projections.StatusCompleted {
		t.Errorf("status is %s", got.Status())
	}
}

// Disorder, doubles at once and doubles hours apart: the duplicate window of the stream is minutes,
// so the late ones are published under ids that it has forgotten (see killedNews).
func TestDisorderAndDoublesAreOneStory(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	disordered := call(1)
	slices.Reverse(disordered)
	_, stop := run(t, killed(s.config(), newKiller(0, ""), 1))
	s.tell(t, disordered...)
	s.tell(t, call(1)...)
	s.settled(t)
	s.agree(t, 1)
	stop()

	run(t, killed(s.config(), newKiller(0, ""), 2))
	s.tell(t, call(1)...)
	s.settled(t)
	s.agree(t, 1)
}

func TestWhatCannotBeFoldedGoesToTheDeadLetters(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	letters := make(chan events.DeadLetter, 1)
	c := s.config()
	c.DeadLetters = letterBox(letters)
	run(t, c)
	bad := told{1, 0, events.ParticipantJoin, 1}.form() + "&Timestamp=yesterday"
	s.append(t, conferenceSid(1), bad)
	s.tell(t, told{1, 1, events.ParticipantJoin, 2})
	s.settled(t)
	letter := <-letters
	if letter.Kind != events.Unfoldable || letter.Form != bad || letter.Position == "" {
		t.Errorf("dead letter is %+v", letter)
	}
	if got := s.news(t, 1); !slices.Equal(got, []string{"1 participant-join"}) {
		t.Errorf("news: %v", got)
	}
}

func TestALostPictureIsFilledAndNoNewsIsPublishedTwice(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	_, stop := run(t, killed(s.config(), newKiller(0, ""), 1))
	s.tell(t, call(1)...)
	s.tell(t, call(2)[:5]...)
	s.settled(t)
	stop()

	s.loseStore(t)
	_, err := s.store.Conference(t.Context(), events.Key{AccountSid: account, ConferenceSid: conferenceSid(1)})
	if errors.Is(err, projections.ErrNotFound) || err == nil {
		t.Errorf("an empty picture answers %v, want anything but not found", err)
	}
	s.tell(t, call(2)[5:]...)
	run(t, killed(s.config(), newKiller(0, ""), 2))
	s.settled(t)
	s.agree(t, 1, 2)
}

func TestRebuildSwitchesOverUnderLoad(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	p, _ := run(t, s.config())
	s.tell(t, call(1)...)
	s.settled(t)
	rebuilt := make(chan error, 1)
	go func() { rebuilt <- p.Rebuild(t.Context(), func(int, uint64, uint64) {}) }()
	for n := 2; n < 12; n++ {
		s.tell(t, call(n)...)
	}
	if err := <-rebuilt; err != nil {
		t.Fatalf("rebuild: %v", err)
	}
	s.tell(t, call(12)...)
	s.settled(t)
	s.agree(t, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
}

func TestTheDoorsDroppedSpeechIsNoGap(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	run(t, s.config())
	s.tell(t, told{1, 0, events.ParticipantJoin, 1}, told{1, 5, events.ParticipantLeave, 1})
	e := events.NewSpeechDropped("01J00000000000000000000000", events.Key{AccountSid: account, ConferenceSid: conferenceSid(1)}, [][2]int64{{1, 3}}, s.now())
	if err := s.bus.Journal().Append(t.Context(), conferenceSid(1), e); err != nil {
		t.Fatal(err)
	}
	s.settled(t)
	if got := s.stored(t, 1).Gaps(); !slices.Equal(got, projections.Ranges{{4, 4}}) {
		t.Errorf("gaps are %v, want only 4", got)
	}
	if got := s.news(t, 1); len(got) != 2 {
		t.Errorf("dropped speech became news: %v", got)
	}
}
