package twiliofake

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// floor is a small call center that starts conferences at a steady rate, each
// with one of the stories in scenes.go.
type floor struct {
	twilio  *Twilio
	chance  *rand.Rand
	every   time.Duration // between two starts, on average; 0 is never
	stories []story
	turn    int
}

func newFloor(c Config, t *Twilio) *floor {
	f := &floor{twilio: t, chance: stream(c.Seed, "floor")}
	if c.Rate > 0 {
		f.every = time.Duration(float64(time.Minute) / c.Rate)
	}
	return f
}

// open starts the first conference at once; the others follow.
func (f *floor) open() {
	if f.every > 0 {
		f.twilio.agenda.after(0, f.begin)
	}
}

// begin plays one story in a free room and plans the next start.
func (f *floor) begin() error {
	s := newScene(f, f.freeRoom())
	f.draw()(s)
	s.begin()
	f.twilio.agenda.after(f.between(f.every/2, f.every*3/2), f.begin)
	return nil
}

// draw returns the next story of the shuffled list. The list has each story
// once, so that every reason to end occurs within one list.
func (f *floor) draw() story {
	if len(f.stories) == 0 {
		f.stories = append(f.stories, stories...)
		f.chance.Shuffle(len(f.stories), func(i, j int) { f.stories[i], f.stories[j] = f.stories[j], f.stories[i] })
	}
	drawn := f.stories[0]
	f.stories = f.stories[1:]
	return drawn
}

// rooms is the first number of rooms of each queue. It is small, so that consecutive conferences
// use the same names, as on a real floor; if all rooms are in use, the floor adds more.
const rooms = 2

var queues = []string{"sales", "support", "billing"}

// freeRoom returns the next name without a conference.
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

// often returns true with the given probability.
func (f *floor) often(chance float64) bool { return f.chance.Float64() < chance }

func (f *floor) pick(names []string) string { return names[f.chance.IntN(len(names))] }
