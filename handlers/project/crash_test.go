package project_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"gavel/events"
	"gavel/handlers/project"
	"gavel/projections"
)

// errDead is what a killed projector gets from everything it still touches.
var errDead = errors.New("the process is dead")

// killer ends a projector at one step of its life: before the step, in the
// middle of it, or after it but before its caller returns.
type killer struct {
	mu    sync.Mutex
	at    int // the step to die at, counted over all wrapped calls
	how   string
	steps int
	dead  chan struct{}
}

func newKiller(at int, how string) *killer {
	return &killer{at: at, how: how, dead: make(chan struct{})}
}

// step runs one outside effect, whole, in part or not at all.
func (k *killer) step(whole, part func() error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.isDead() {
		return errDead
	}
	k.steps++
	if k.steps != k.at {
		return whole()
	}
	defer close(k.dead)
	switch k.how {
	case "in the middle of":
		_ = part()
	case "after":
		_ = whole()
	}
	return errDead
}

func (k *killer) isDead() bool {
	select {
	case <-k.dead:
		return true
	default:
		return false
	}
}

type killedStore struct {
	projections.Writer
	*killer
}

func (s killedStore) Save(ctx context.Context, lane int, writes []projections.Write) error {
	save := func(writes []projections.Write) func() error {
		return func() error { return s.Writer.Save(ctx, lane, writes) }
	}
	return s.step(save(writes), save(writes[:len(writes)/2]))
}

func (s killedStore) NoteApplied(ctx context.Context, lane int, applied events.Position, state []byte, chain string) error {
	whole := func() error { return s.Writer.NoteApplied(ctx, lane, applied, state, chain) }
	return s.step(whole, func() error { return nil })
}

// killedNews gives every publication an id of its own, so that the stream's
// duplicate window cannot hide a fact that is published twice.
type killedNews struct {
	project.News
	*killer
	mark string
}

func (n killedNews) Publish(ctx context.Context, facts []events.News) error {
	marked := make([]events.News, len(facts))
	for i, f := range facts {
		f.ID += n.mark
		marked[i] = f
	}
	publish := func(facts []events.News) func() error {
		return func() error { return n.News.Publish(ctx, facts) }
	}
	return n.step(publish(marked), publish(marked[:len(marked)/2]))
}

type killedLane struct {
	project.Lane
	*killer
}

func (l killedLane) Ack(ctx context.Context, groups []events.Group) error {
	ack := func(groups []events.Group) func() error {
		return func() error { return l.Lane.Ack(ctx, groups) }
	}
	return l.step(ack(groups), ack(groups[:len(groups)/2]))
}

// killed puts the killer between the projector and everything it changes.
func killed(c project.Config, k *killer, life int) project.Config {
	for i, lane := range c.Lanes {
		c.Lanes[i] = killedLane{lane, k}
	}
	c.Store = killedStore{c.Store, k}
	c.News = killedNews{c.News, k, "-" + strconv.Itoa(life)}
	return c
}

// A projector that dies anywhere between two steps, or in the middle of one,
// leaves journal, picture, indexes and news agreeing once the next one has
// worked: nothing lost, nothing published twice, nothing out of order.
func TestCrashBetweenEveryTwoSteps(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"before", "in the middle of", "after"} {
		for at := 1; at <= 8; at++ {
			t.Run(fmt.Sprintf("%s step %d", how, at), func(t *testing.T) {
				t.Parallel()
				s := newStack(t)
				crash(t, s, at, how)
			})
		}
	}
}

// crash appends two calls in disorder and with duplicates, lets one projector die
// on the way, appends the rest, and lets a second one finish.
func crash(t *testing.T, s *stack, at int, how string) {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(at), uint64(len(how))))
	all := append(call(1), call(2)...)
	all = append(all, all[:6]...)
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })

	s.tell(t, all[:10]...)
	k := newKiller(at, how)
	_, stop := run(t, killed(s.config(), k, 1))
	s.tell(t, all[10:16]...)
	s.until(t, "the projector is dead", func() bool {
		s.tell(t, all[0]) // a duplicate is work as well
		return k.isDead()
	})
	stop()

	s.tell(t, all[16:]...)
	run(t, killed(s.config(), newKiller(0, ""), 2))
	s.settled(t)
	s.agree(t, 1, 2)
}
