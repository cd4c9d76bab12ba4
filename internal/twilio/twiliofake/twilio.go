// Package twiliofake is a fake of Twilio: it keeps conferences and sends signed callbacks about
// them as Twilio does, so that Gavel can be tried and tested on a machine without a phone line.
//
// It is not part of the product. It imports nothing of Gavel, and its signing is written separately
// from Gavel's verifier, so that a shared mistake cannot hide.
//
// Reading order: twilio.go (the fake); conference.go, participant.go, recording.go, announce.go,
// dial.go and refusal.go (the state and its rules); callback.go (what is sent), delivery.go and
// eventstreams.go (how it is sent), sign.go; rest.go with rest_*.go and list.go (the REST API),
// desk.go (authentication and faults); story.go (people in conferences), floor.go and scenes.go (a
// call floor of them); agenda.go holds the steps that are still to happen.
//
// Behaviour that Twilio does not document is marked "not confirmed".
package twiliofake

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Config configures a fake. AccountSid and AuthToken are required; every other
// field has a useful zero value.
type Config struct {
	AccountSid string
	AuthToken  string
	// Status and Recording are the callbacks of the call floor's and the
	// stories' conferences. A participant called by REST has its own.
	Status    Subscription
	Recording Subscription
	// EventStreams is the URL of an Event Streams sink that receives the events
	// of callbacks too; "" disables it.
	EventStreams string
	// Rate is how many conferences a minute the call floor starts; 0 leaves the floor empty.
	Rate float64
	// Seed decides what happens: the same seed on a FastForward clock plays the
	// same calls and sends the same callbacks.
	Seed uint64
	// Faults are failures between Twilio and the receiver.
	Faults Faults
	// APIKeys are secrets by SID (SK...), which have the account's rights.
	APIKeys map[string]string
	// Weather is the first weather of the REST API; SetWeather replaces it.
	Weather []Weather
	// MaxConcurrentRequests is how many requests may be in flight before the
	// REST API answers 429; 0 sets no limit. Twilio does not publish its own.
	MaxConcurrentRequests int
	// SharedKey, if it has an ID, signs SharedPercent of all requests by SharedAlgorithm (HMAC_SHA256
	// unless set), and the auth token signs the others: a migration that is under way.
	SharedKey       SharedKey
	SharedAlgorithm string
	SharedPercent   int
	// FetchAnnouncements makes the fake fetch the AnnounceUrl of a REST request.
	FetchAnnouncements bool
	// Phone is what happens when REST calls a number; nil is one that rings for
	// a second and is answered.
	Phone func(to string) Phone
	// Clock is WallClock unless set.
	Clock Clock
	// Transport sends the callbacks; nil is one with the connect and read
	// timeouts of each callback URL.
	Transport http.RoundTripper
	// Logger logs callbacks that were lost for good.
	Logger *slog.Logger
}

// Twilio is one account's conferences. Its methods are the actions of people,
// calls and REST requests; each sends the callbacks that follow from it.
type Twilio struct {
	accountSid string
	clock      Clock
	agenda     *agenda
	sender     *sender
	floor      *floor
	desk       *desk
	status     Subscription
	recordings Subscription
	phone      func(to string) Phone
	fetches    bool // fetch announcements
	opened     time.Time
	closed     chan struct{} // when Run has ended

	mu     sync.Mutex
	ids    *rand.Rand
	rooms  map[string]*conference // by FriendlyName; only one of a name is not completed
	bySid  map[string]*conference // by ConferenceSid
	kept   []*conference          // the same, oldest first
	legs   map[string]*participant
	played map[string]int // announcements with sound, by URL
	outbox []callback     // filled while mu is held, sent after it is released
}

// New returns a fake. Nothing happens before Run.
func New(c Config) *Twilio {
	if c.Clock == nil {
		c.Clock = WallClock()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Phone == nil {
		c.Phone = willingPhone
	}
	t := &Twilio{
		accountSid: c.AccountSid,
		clock:      c.Clock,
		agenda:     newAgenda(c.Clock),
		desk:       newDesk(c),
		status:     c.Status,
		recordings: c.Recording,
		phone:      c.Phone,
		fetches:    c.FetchAnnouncements,
		opened:     c.Clock.Now(),
		closed:     make(chan struct{}),
		ids:        stream(c.Seed, "ids"),
		rooms:      map[string]*conference{},
		bySid:      map[string]*conference{},
		legs:       map[string]*participant{},
		played:     map[string]int{},
	}
	t.sender = newSender(c, t.agenda)
	t.floor = newFloor(c, t)
	return t
}

// Run plays until ctx ends, then sends the remaining callbacks, once, and
// returns. It is called once. An error means that the call floor's script broke
// a rule of conferences, which is a bug of the script.
func (t *Twilio) Run(ctx context.Context) error {
	defer t.sender.wait()
	t.floor.open()
	err := t.agenda.run(ctx, func(do func() error) error {
		if err := do(); err != nil {
			return fmt.Errorf("play call floor: %w", err)
		}
		t.sender.send(ctx, t.takeOutbox())
		return nil
	})
	close(t.closed)
	t.sender.send(ctx, t.takeOutbox())
	t.sender.streams.flush(ctx)
	return err
}

// Accepted returns how many callbacks have been answered 2xx. A callback that
// was sent twice counts once.
func (t *Twilio) Accepted() int64 { return t.sender.accepted.Load() }

func (t *Twilio) takeOutbox() []callback {
	t.mu.Lock()
	defer t.mu.Unlock()
	callbacks := t.outbox
	t.outbox = nil
	return callbacks
}

// stream returns a separate random source for each purpose, so that faults do
// not change which calls are played.
func stream(seed uint64, purpose string) *rand.Rand {
	h := uint64(14695981039346656037)
	for i := range len(purpose) {
		h = (h ^ uint64(purpose[i])) * 1099511628211
	}
	return rand.New(rand.NewPCG(seed, h))
}

// sid makes an identifier: two letters and 32 hex digits. The caller holds mu.
func (t *Twilio) sid(prefix string) string {
	return fmt.Sprintf("%s%016x%016x", prefix, t.ids.Uint64(), t.ids.Uint64())
}

// timestamp formats a time as Twilio does: RFC 2822, whole seconds, UTC.
func timestamp(at time.Time) string { return at.UTC().Format(time.RFC1123Z) }

// occupied reports whether a conference of that name is not completed.
func (t *Twilio) occupied(room string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.rooms[room]
	return ok
}
