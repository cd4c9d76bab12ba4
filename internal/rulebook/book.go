package rulebook

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"gavel/events"
	"gavel/internal/cell"
)

const (
	// activeKey says which set is in force.
	activeKey = "active"
	// lookEvery is how often a Book looks which. One small value a second costs
	// less than a watch, which begins by telling every set ever kept.
	lookEvery = time.Second
	// answerTime bounds each look, so that one that hangs is not the last.
	answerTime = 5 * time.Second
)

// Bucket is where sets are kept.
type Bucket = cell.Bucket

// InForce says which set is in force, and since when.
type InForce struct {
	// Load is a ULID: the same set put in force again has another one.
	Load    string    `json:"load"`
	Version string    `json:"version"`
	Since   time.Time `json:"since"`
	// Origin is who proposed it: host name and path of the rule files.
	Origin string `json:"origin"`
	// By is how it came into force.
	By How `json:"by"`
}

// Book follows which set is in force. Its methods may be called from many
// goroutines.
type Book struct {
	bucket Bucket
	log    *slog.Logger
	sets   *lru.Cache[string, compiled]

	inForce *cell.Cell[InForce]
	shared  *cell.Cell[sharedFaults]

	mu       sync.RWMutex
	active   *InForce // nil before the first
	revision uint64   // of active
	own      string   // the version that this process proposed last, or ""
	faults   faults
}

// Open reads what is in force. Run keeps it up to date.
func Open(ctx context.Context, bucket Bucket, log *slog.Logger) (*Book, error) {
	sets, err := lru.New[string, compiled](maxCompiled)
	if err != nil {
		return nil, fmt.Errorf("open the rules in force: %w", err)
	}
	b := &Book{bucket: bucket, log: log, sets: sets}
	b.inForce = cell.New(bucket, cell.Config[InForce]{Key: activeKey, Within: answerTime, Kept: b.follow, Again: true})
	b.shared = cell.New(bucket, cell.Config[sharedFaults]{Key: faultsKey, Within: answerTime, Decode: decodeFaults})
	if _, err := b.look(ctx); err != nil {
		return nil, fmt.Errorf("open the rules in force: %w", err)
	}
	return b, nil
}

// Run follows the bucket until ctx ends. While nobody answers, what was known
// last stays in force.
func (b *Book) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	share := time.NewTicker(shareEvery)
	defer share.Stop()
	lost := false
	for {
		var err error
		select {
		case <-tick.C:
			_, err = b.look(ctx)
		case <-share.C:
			err = b.shareFaults(ctx)
		case <-ctx.Done():
			return
		}
		if err != nil && !lost && ctx.Err() == nil {
			b.log.Warn("the rules in force cannot be followed: those known last stay", "error", err)
		}
		lost = err != nil
	}
}

// look reads what is in force; its Load is empty where nothing is yet.
func (b *Book) look(ctx context.Context) (*InForce, error) {
	active, err := b.inForce.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read which rules are in force: %w", err)
	}
	return active, nil
}

// follow takes over what is in force, unless something newer is known.
func (b *Book) follow(active *InForce, revision uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if revision <= b.revision {
		return
	}
	b.active, b.revision = active, revision
	b.log.Info("rules in force", "version", active.Version, "from", active.Origin, "since", active.Since)
}

// Active returns the load of the set in force, false where there is none.
func (b *Book) Active() (events.Load, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.active == nil {
		return events.Load{}, false
	}
	return events.Load{ID: b.active.Load, Version: b.active.Version, At: b.active.Since}, true
}

// Status is what people ask of the rules in force.
type Status struct {
	// InForce is nil where no set is.
	InForce *InForce
	// Own is the version of this process's own files, where another one is in
	// force and it follows that.
	Own string
	// Faults are what could not be evaluated in any process, by rule and place,
	// since the set came into force.
	Faults []Fault
}

// Status returns what is known; nobody is asked.
func (b *Book) Status() Status {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s := Status{Own: b.own, Faults: b.faults.list()}
	if b.active != nil {
		active := *b.active
		s.InForce = &active
		if s.Own == active.Version {
			s.Own = ""
		}
	}
	return s
}
