package twiliofake

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// floor is a small call centre that begins conferences at a steady rate, each
// following one of the stories in scenes.go.
type floor struct {
	twilio *Twilio
	chance *rand.Rand
	every  time.Duration // between two beginnings, on average; 0 is never
	deck   []story
	turn   int
}

func newFloor(c Config, t *Twilio) *floor {
	f := &floor{twilio: t, chance: stream(c.Seed, "floor")}
	if c.Rate > 0 {
		f.every = time.Duration(float64(time.Minute) / c.Rate)
	}
	return f
}

// open lets the first conference begin at once and the others follow.
func (f *floor) open() {
	if f.every > 0 {
		f.twilio.agenda.after(0, f.begin)
	}
}

// begin plays one story in a free room and plans the next beginning.
func (f *floor) begin() error {
	s := newScene(f, f.freeRoom())
	f.draw()(s)
	s.begin()
	f.twilio.agenda.after(f.between(f.every/2, f.every*3/2), f.begin)
	return nil
}

// draw takes a story from the deck. A deck holds each once, so that every
// reason to end comes up within one deck instead of sooner or later.
func (f *floor) draw() story {
	if len(f.deck) == 0 {
		f.deck = append(f.deck, stories...)
		f.chance.Shuffle(len(f.deck), func(i, j int) { f.deck[i], f.deck[j] = f.deck[j], f.deck[i] })
	}
	drawn := f.deck[0]
	f.deck = f.deck[1:]
	return drawn
}

// rooms is how many rooms each queue has to begin with. Few, so that a name is
// used again by conferences that follow one another, as on a real floor; when
// all are taken, the floor opens more.
const rooms = 2

var queues = []string{"sales", "support", "billing"}

// freeRoom returns the next name that no conference is using.
func (f *floor) freeRoom() string {
	for tried := 0; ; tried++ {
		f.turn++
		number := f.turn/len(queues)%rooms + tried/(rooms*len(queues))*rooms
		name := fmt.Sprintf("%s-%d", queues[f.turn%len(queues)], 101+number)
		if !f.twilio.occupied(name) {
			return name
		}
	}
}

func (f *floor) between(least, most time.Duration) time.Duration {
	return least + time.Duration(f.chance.Float64()*float64(most-least))
}

// often reports true with the given chance.
func (f *floor) often(chance float64) bool { return f.chance.Float64() < chance }

func (f *floor) pick(names []string) string { return names[f.chance.IntN(len(names))] }
