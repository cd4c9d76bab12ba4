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

// Weather is what a request to the REST API meets before, or instead of, its
// answer.
type Weather struct {
	// On are the requests it falls on; none is all.
	On []Call
	// Share is the chance for each of them, 0 to 1; 0 counts as 1.
	Share float64
	// Times is how many it hits before it clears; 0 is without end.
	Times int
	// Delay is how long the answer takes.
	Delay time.Duration
	// Status is answered instead; 0 lets the request be answered for real.
	Status int
	// RetryAfter is the header of that answer, in whole seconds; 0 is none.
	RetryAfter time.Duration
	// Silent gives no answer at all: the connection stays open until the client
	// ends it.
	Silent bool
	// CarriedOut lets what was asked happen although a Status of 500 or more
	// or Silent hides it. 429 is never carried out (Twilio, error dictionary).
	CarriedOut bool
}

func (w Weather) carriesOut() bool {
	calm := w.Status == 0 && !w.Silent
	return calm || w.CarriedOut && w.Status != http.StatusTooManyRequests
}

// refuse answers the status in Twilio's form of an error. Which codes Twilio
// has for its own failures is not confirmed.
func (w Weather) refuse(to http.ResponseWriter) {
	if w.RetryAfter > 0 {
		to.Header().Set("Retry-After", strconv.Itoa(int(w.RetryAfter/time.Second)))
	}
	refusal := &apiError{w.Status, 20000 + w.Status, http.StatusText(w.Status)}
	refuse(to, refusal)
}

// Tally counts requests of one kind.
type Tally struct {
	// Asked are those that arrived, Done those that were carried out and not
	// refused.
	Asked, Done int
}

// desk is where requests to the REST API are received: it knows who may ask,
// counts, and makes the weather.
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

// SetWeather changes what requests meet from now on. Of several kinds of
// weather that fall on a request the first one counts; none is calm.
func (t *Twilio) SetWeather(weather ...Weather) {
	t.desk.mu.Lock()
	defer t.desk.mu.Unlock()
	t.desk.weather = slices.Clone(weather)
}

// Tally tells how many requests of a kind there were.
func (t *Twilio) Tally(of Call) Tally {
	t.desk.mu.Lock()
	defer t.desk.mu.Unlock()
	return t.desk.tallies[of]
}

// knows checks HTTP Basic: AccountSid and auth token, or an API key.
func (d *desk) knows(r *http.Request) bool {
	user, password, given := r.BasicAuth()
	want, known := d.passwords[user]
	same := subtle.ConstantTimeCompare([]byte(password), []byte(want)) == 1
	return given && known && want != "" && same
}

// begin receives a request: its id, and how many are under way with it.
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

// crowded reports whether more are under way than the account may have.
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

// weatherFor draws what a request meets; the zero value is calm.
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
			w.Times = -1 // it has cleared
		} else if w.Times > 1 {
			w.Times--
		}
		return *w
	}
	return Weather{}
}
