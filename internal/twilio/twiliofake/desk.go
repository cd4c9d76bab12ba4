package twiliofake

import (
	"crypto/subtle"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Weather is a fault of the REST API: what happens to a request before, or instead of, its answer.
type Weather struct {
	// On lists the kinds of requests it affects; empty means all.
	On []Call
	// Share is the probability for each of them, 0 to 1; 0 counts as 1.
	Share float64
	// Times is how many requests it affects before it ends; 0 is without end.
	Times int
	// Delay is how long the answer takes.
	Delay time.Duration
	// Status is answered instead; 0 executes the request.
	Status int
	// RetryAfter is the header of that answer, in whole seconds; 0 sends none.
	RetryAfter time.Duration
	// Silent sends no answer: the connection stays open until the client closes it.
	Silent bool
	// CarriedOut executes the request although Silent or a Status of 500 or
	// more hides it. A 429 is never executed (Twilio, error dictionary).
	CarriedOut bool
}

func (w Weather) carriesOut() bool {
	calm := w.Status == 0 && !w.Silent
	return calm || w.CarriedOut && w.Status != http.StatusTooManyRequests
}

// refuse answers the status in Twilio's form of an error. Which codes Twilio
// uses for its own failures is not confirmed.
func (w Weather) refuse(to http.ResponseWriter) {
	if w.RetryAfter > 0 {
		to.Header().Set("Retry-After", strconv.Itoa(int(w.RetryAfter/time.Second)))
	}
	refusal := &apiError{w.Status, 20000 + w.Status, http.StatusText(w.Status)}
	refuse(to, refusal)
}

// Tally counts requests of one kind.
type Tally struct {
	// Asked counts the requests that arrived, Done those that were executed and not refused.
	Asked, Done int
}

// desk receives requests to the REST API: it authenticates, counts, and applies the weather.
type desk struct {
	passwords map[string]string // by user: the account and its API keys
	most      int               // requests at a time

	mu       sync.Mutex
	chance   *rand.Rand
	ids      *rand.Rand
	weather  []Weather
	tallies  map[Call]Tally
	underWay int
}

func newDesk(c Config) *desk {
	d := &desk{
		passwords: map[string]string{c.AccountSid: c.AuthToken},
		most:      c.MaxConcurrentRequests,
		chance:    stream(c.Seed, "weather"),
		ids:       stream(c.Seed, "requests"),
		weather:   slices.Clone(c.Weather),
		tallies:   map[Call]Tally{},
	}
	for sid, secret := range c.APIKeys {
		d.passwords[sid] = secret
	}
	return d
}

// SetWeather replaces the weather of later requests. If several kinds apply to
// a request, the first one counts; without arguments no faults occur.
func (t *Twilio) SetWeather(weather ...Weather) {
	t.desk.mu.Lock()
	defer t.desk.mu.Unlock()
	t.desk.weather = slices.Clone(weather)
}

// Tally returns how many requests of a kind there were.
func (t *Twilio) Tally(of Call) Tally {
	t.desk.mu.Lock()
	defer t.desk.mu.Unlock()
	return t.desk.tallies[of]
}

// authenticates checks HTTP Basic: AccountSid and auth token, or an API key.
func (d *desk) authenticates(r *http.Request) bool {
	user, password, given := r.BasicAuth()
	want, known := d.passwords[user]
	same := subtle.ConstantTimeCompare([]byte(password), []byte(want)) == 1
	return given && known && want != "" && same
}

// begin receives a request: it returns an id, and the number of requests in flight including it.
func (d *desk) begin() (id string, underWay int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.underWay++
	return fmt.Sprintf("RQ%016x%016x", d.ids.Uint64(), d.ids.Uint64()), d.underWay
}

func (d *desk) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.underWay--
}

// crowded reports whether more requests are in flight than the account may have.
func (d *desk) crowded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.most > 0 && d.underWay > d.most
}

func (d *desk) asked(c Call) { d.count(c, Tally{Asked: 1}) }

func (d *desk) did(c Call) { d.count(c, Tally{Done: 1}) }

func (d *desk) count(c Call, more Tally) {
	d.mu.Lock()
	defer d.mu.Unlock()
	sum := d.tallies[c]
	d.tallies[c] = Tally{sum.Asked + more.Asked, sum.Done + more.Done}
}

// weatherFor draws the weather of a request; the zero value has no fault.
func (d *desk) weatherFor(c Call) Weather {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.weather {
		w := &d.weather[i]
		falls := len(w.On) == 0 || slices.Contains(w.On, c)
		if !falls || w.Times < 0 || w.Share > 0 && d.chance.Float64() >= w.Share {
			continue
		}
		if w.Times == 1 {
			w.Times = -1 // it has ended
		} else if w.Times > 1 {
			w.Times--
		}
		return *w
	}
	return Weather{}
}
