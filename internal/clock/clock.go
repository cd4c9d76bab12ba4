// Package clock decides which time it is although the machine's clock may be wrong, and how much of
// the past is certain. A clock that is 40 days ahead at one start must not expire what was stored
// yesterday.
//
// Twilio signs the time of each callback. A signed time that has passed, and the monotonic time
// since, is a time that has certainly passed: whatever expires does so by it, later than by the
// clock but never too early (ADR 0023). All processes share the newest one in a bucket, and it
// outlives them.
package clock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gavel/internal/cell"
)

const (
	// MaxJump is how far the machine's clock may be from the proven time. Beyond it, the clock is in
	// doubt. It is more than a night without callbacks while nothing runs.
	MaxJump = 24 * time.Hour
	// agrees is how far a signed time may be from the machine's clock to prove it right: within it a
	// fact is not stale either (rules.MaxAge).
	agrees = 5 * time.Minute
	// near is when a signed time says nothing new.
	near = time.Minute
	// checkEvery is how often the machine's clock is compared with the proven time. While it is in
	// doubt, what other processes have proven is read as often.
	checkEvery = time.Second
	// shareEvery is how often the proven time is stored, at the cost of an fsync.
	shareEvery = 10 * time.Minute
	// shareTime bounds one exchange with the bucket.
	shareTime = 5 * time.Second
	// Key is the key of the proven time in its bucket.
	Key = "clock"
)

var errNoAnswer = errors.New("the bucket of the clock does not answer")

// Config is what a Clock needs.
type Config struct {
	Bucket cell.Bucket
	// Newest is when NATS stored the newest entry of the journal, zero without one. It counts as
	// proven if the bucket has no proven time, as after an upgrade.
	Newest time.Time
	// Report is called with why the clock is in doubt, and with nil when it no longer is.
	Report func(error)
	// Wall is the machine's clock, and Elapsed a monotonic one. By default the real ones.
	Wall    func() time.Time
	Elapsed func() time.Duration
}

// Clock is the time of this process. Its methods may be called from many goroutines.
type Clock struct {
	wall    func() time.Time
	elapsed func() time.Duration
	report  func(error)
	cell    *cell.Cell[stored]
	known   atomic.Pointer[known] // never nil
	mu      sync.Mutex            // held while known changes
	doubted bool                  // mu guards it
	news    chan struct{}         // the end of a doubt is to be shared
}

// known is what is proven.
type known struct {
	// reached is a time that had passed when the monotonic clock was at `at`; zero if none is known.
	reached time.Time
	at      time.Duration
	// sure: reached was the time then, as far as anything shows. Otherwise only an old fact was
	// received, which says little about the time of its receipt.
	sure bool
	// own: this process has seen the proof.
	own bool
}

// stored is the value in the bucket.
type stored struct {
	Reached time.Time `json:"reached"`
}

// Open reads what earlier processes have proven and reports whether the clock is in doubt.
func Open(ctx context.Context, c Config) (*Clock, error) {
	if c.Wall == nil {
		c.Wall = time.Now
	}
	if began := time.Now(); c.Elapsed == nil {
		c.Elapsed = func() time.Duration { return time.Since(began) }
	}
	k := &Clock{wall: c.Wall, elapsed: c.Elapsed, report: c.Report, news: make(chan struct{}, 1), cell: cell.New(c.Bucket, cell.Config[stored]{
		Key: Key, Within: shareTime, NoAnswer: errNoAnswer,
	})}
	before, err := k.cell.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the proven time: %w", err)
	}
	first := known{reached: before.Reached, at: c.Elapsed()}
	if first.reached.IsZero() && !c.Newest.IsZero() {
		first.reached = earlier(c.Newest, c.Wall())
	}
	first.sure = !first.reached.IsZero()
	k.known.Store(&first)
	k.Check()
	return k, nil
}

// Now is the machine's clock, or the proven time while that clock is in doubt. A stamp of a clock
// that is ahead would hold up the conference for as long as the clock was ahead.
func (c *Clock) Now() time.Time {
	wall, passed, sure := c.read()
	if sure && !fits(wall, passed) {
		return passed
	}
	return wall
}

// Passed is the newest time that has certainly passed, zero if none is known. It is never ahead of
// the machine's clock.
func (c *Clock) Passed() time.Time {
	wall, passed, _ := c.read()
	if passed.IsZero() {
		return passed
	}
	return earlier(passed, wall)
}

// Doubt returns why the machine's clock is in doubt, or nil.
func (c *Clock) Doubt() error {
	wall, passed, sure := c.read()
	if !sure || fits(wall, passed) {
		return nil
	}
	by, way := wall.Sub(passed), "ahead of"
	if by < 0 {
		by, way = -by, "behind"
	}
	return fmt.Errorf("the clock of this machine is %s %s %s, the latest time that Twilio has signed: correct the clock; "+
		"if it is right, the next callback ends this", by.Round(time.Minute), way, passed.UTC().Format(time.RFC3339))
}

// Witness records a time that Twilio signed: it has passed. Together with a machine's clock that
// agrees, it proves that clock right.
func (c *Clock) Witness(t time.Time) {
	wall, passed, sure := c.read()
	if t.IsZero() || sure && within(t, passed, near) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, passed, sure = c.read()
	k := *c.known.Load()
	switch proves := within(t, wall, agrees); {
	case proves && !(sure && within(t, passed, agrees)):
		c.set(known{reached: t, sure: true, own: true})
	case earlier(t, wall).After(passed):
		c.set(known{reached: earlier(t, wall), sure: k.sure, own: k.own || proves})
	default:
		return
	}
	c.check()
}

// Confirm records Twilio's own clock, as of now.
func (c *Clock) Confirm(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set(known{reached: t, sure: true, own: true})
	c.check()
}

// Check compares the machine's clock with the proven time, and reports the result.
func (c *Clock) Check() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.check()
}

// check is Check for a caller that holds mu.
func (c *Clock) check() {
	why := c.Doubt()
	if why != nil || c.doubted {
		c.report(why)
	}
	if c.doubted && why == nil {
		select {
		case c.news <- struct{}{}:
		default:
		}
	}
	c.doubted = why != nil
}

// Run compares and shares until ctx ends. A bucket that does not answer costs nothing but time.
func (c *Clock) Run(ctx context.Context) error {
	check, share := time.NewTicker(checkEvery), time.NewTicker(shareEvery)
	defer check.Stop()
	defer share.Stop()
	for {
		select {
		case <-check.C:
			if c.Check(); c.Doubt() == nil {
				continue
			}
		case <-share.C:
		case <-c.news:
		case <-ctx.Done():
			return nil
		}
		_ = c.Share(ctx)
	}
}

// Share exchanges what is proven with the other processes.
func (c *Clock) Share(ctx context.Context) error {
	if err := c.cell.ChangeRead(ctx, c.merge); err != nil {
		return fmt.Errorf("share the proven time: %w", err)
	}
	return nil
}

// merge adopts what another process has proven, and reports whether ours is to be stored.
func (c *Clock) merge(other *stored) (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, passed, sure := c.read()
	k, theirs := c.known.Load(), other.Reached
	later, right := theirs.After(passed.Add(near)), fits(wall, theirs)
	if !theirs.IsZero() && (later && (right || !k.own) || right && sure && !fits(wall, passed)) {
		c.set(known{reached: theirs, sure: true, own: false})
		c.check()
		return false
	}
	if !sure || !passed.After(theirs.Add(shareEvery/2)) && !later {
		return false
	}
	other.Reached = passed.UTC()
	return true
}

// set stores what is known as of now. The caller holds mu.
func (c *Clock) set(k known) {
	k.reached, k.at = k.reached.Round(0), c.elapsed()
	c.known.Store(&k)
}

// read returns the machine's clock, and the proven time as of now.
func (c *Clock) read() (wall, passed time.Time, sure bool) {
	k := c.known.Load()
	if wall = c.wall(); k.reached.IsZero() {
		return wall, k.reached, false
	}
	return wall, k.reached.Add(c.elapsed() - k.at), k.sure
}

func fits(a, b time.Time) bool { return within(a, b, MaxJump) }

func within(a, b time.Time, most time.Duration) bool { return a.Sub(b).Abs() <= most }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
