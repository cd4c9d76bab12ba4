package failover_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gavel/events"
	"gavel/internal/twilio/twiliofake"
)

const (
	// rooms is how many conferences a load has, the same number in each lane.
	rooms = 32
	// legs is how many participants each conference has.
	legs = 4
	// twilioWaits is Twilio's total timeout for a callback (Twilio, "Webhooks:
	// Connection Overrides": total time-out 15 s).
	twilioWaits = 15 * time.Second
	// settleTime is how long the load runs before and after a failure.
	settleTime = 2 * time.Second
	// idleConnections is more than any load here has in flight.
	idleConnections = 512
)

// load sends callbacks at a steady rate, whether they are answered or not, and
// records the result of each.
type load struct {
	doors  []string // base URLs, in turn
	client *http.Client
	rooms  []string // ConferenceSids
	from   int      // number of the first callback: earlier loads sent those below it
	stop   func() []answer

	mu      sync.Mutex
	answers []answer
}

// answer is the result of one callback; status 0 means no answer.
type answer struct {
	form   string
	status int
	err    error
	sent   time.Time
	took   time.Duration
}

func (a answer) accepted() bool { return a.status >= 200 && a.status < 300 }

// callbacks sends perSecond callbacks to doors, for conferences in every lane,
// until stop is called; stop returns all answers.
func (w *world) callbacks(perSecond int, doors ...string) *load {
	w.t.Helper()
	return w.load(doors, func(ctx context.Context, l *load) { l.steady(ctx, perSecond) })
}

// flood keeps that many callbacks in flight, as fast as the doors answer.
func (w *world) flood(together int, doors ...string) *load {
	w.t.Helper()
	return w.load(doors, func(ctx context.Context, l *load) { l.pressing(ctx, together) })
}

func (w *world) load(doors []string, run func(context.Context, *load)) *load {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	transport := &http.Transport{MaxIdleConnsPerHost: idleConnections}
	l := &load{
		doors: doors, rooms: w.rooms, from: len(w.answers), client: &http.Client{Transport: transport, Timeout: twilioWaits},
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		run(ctx, l)
	}()
	l.stop = sync.OnceValue(func() []answer {
		cancel()
		<-over
		transport.CloseIdleConnections()
		w.answers = append(w.answers, l.answers...)
		return l.answers
	})
	w.t.Cleanup(func() { l.stop() })
	return l
}

func (l *load) steady(ctx context.Context, perSecond int) {
	var under sync.WaitGroup
	defer under.Wait()
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
			under.Go(func() { l.send(n) })
		case <-ctx.Done():
			return
		}
	}
}

func (l *load) pressing(ctx context.Context, together int) {
	var under sync.WaitGroup
	defer under.Wait()
	var sent atomic.Int64
	for range together {
		under.Go(func() {
			for ctx.Err() == nil {
				l.send(int(sent.Add(1) - 1))
			}
		})
	}
}

// send sends the nth callback and records the answer.
func (l *load) send(n int) {
	form := l.form(l.from + n)
	a := answer{form: form.Encode(), sent: time.Now()}
	a.status, a.err = l.post(l.doors[n%len(l.doors)], form)
	a.took = time.Since(a.sent)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers = append(l.answers, a)
}

func (l *load) post(door string, form url.Values) (status int, err error) {
	const path = "/twilio/conference"
	request, err := http.NewRequest(http.MethodPost, door+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("X-Twilio-Signature", twiliofake.Signature(token, door+path, form))
	response, err := l.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// form returns the nth callback: conferences in turn, each with its own
// sequence. First its legs join, then they are muted and unmuted.
func (l *load) form(n int) url.Values {
	room, sequence := l.rooms[n%len(l.rooms)], n/len(l.rooms)
	event := events.ParticipantJoin
	switch {
	case sequence < legs:
	case sequence/legs%2 == 1:
		event = events.ParticipantMute
	default:
		event = events.ParticipantUnmute
	}
	return url.Values{
		"AccountSid":             {account},
		"ConferenceSid":          {room},
		"FriendlyName":           {"support"},
		"SequenceNumber":         {strconv.Itoa(sequence)},
		"StatusCallbackEvent":    {string(event)},
		"Timestamp":              {time.Now().UTC().Format(time.RFC1123Z)},
		"CallSid":                {sid("CA", room, strconv.Itoa(sequence%legs))},
		"Muted":                  {strconv.FormatBool(event == events.ParticipantMute)},
		"Hold":                   {"false"},
		"Coaching":               {"false"},
		"StartConferenceOnEnter": {"true"},
		"EndConferenceOnExit":    {"false"},
	}
}

// roomsOf returns conferences, the same number for every lane.
func roomsOf(lanes int, seed string) []string {
	var made []string
	have := make([]int, lanes)
	for n := 0; len(made) < rooms; n++ {
		room := sid("CF", seed, strconv.Itoa(n))
		if lane := events.Lane(room, lanes); have[lane] < rooms/lanes {
			have[lane]++
			made = append(made, room)
		}
	}
	return made
}

// sid returns the same SID for the same words.
func sid(prefix string, words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return prefix + hex.EncodeToString(sum[:16])
}

// unanswered describes the callbacks that were not accepted, at most three of them.
func unanswered(answers []answer) string {
	var said []string
	refused := 0
	for _, a := range answers {
		if a.accepted() {
			continue
		}
		if refused++; len(said) < 3 {
			said = append(said, fmt.Sprintf("status %d, %v, after %s", a.status, a.err, a.took.Round(time.Millisecond)))
		}
	}
	if refused == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d were not accepted: %s", refused, len(answers), strings.Join(said, "; "))
}

// accepted reports whether a matching callback has been accepted.
func (l *load) accepted(like func(answer) bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.answers, func(a answer) bool { return a.accepted() && like(a) })
}
