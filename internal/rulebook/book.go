package rulebook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"

	"gavel/events"
	"gavel/internal/cell"
	"gavel/internal/measure"
	"gavel/rules"
	"gavel/rules/schema"
)

const (
	// activeKey holds the InForce.
	activeKey = "active"
	// readEvery is how often a Book reads which set is in force. One small value a
	// second costs less than a watch, which first delivers every stored set.
	readEvery = time.Second
	// answerTime bounds each read, so that a read that hangs does not block the
	// next.
	answerTime = 5 * time.Second
	// currentTime bounds one read before an action. After a longer one the result may be out of date.
	currentTime = 500 * time.Millisecond
)

// ErrNoAnswer is returned by Current if the bucket did not answer in time.
var ErrNoAnswer = errors.New("no answer from the rule book")

// Bucket stores sets.
type Bucket = cell.Bucket

// InForce identifies the set in force and the time since when it is.
type InForce struct {
	// Load is a ULID. A set that is put in force again gets a new one.
	Load    string    `json:"load"`
	Version string    `json:"version"`
	Since   time.Time `json:"since"`
	// Origin is the host name and path of the rule files that were proposed.
	Origin string `json:"origin"`
	// By is how the set was proposed.
	By How `json:"by"`
}

// Book follows which set is in force. Its methods may be called from many
// goroutines.
type Book struct {
	bucket Bucket
	log    *slog.Logger
	sets   *lru.Cache[string, compiled]
	parse  func(files ...rules.File) (*rules.Set, error) // rules.ParseAccepted; tests set another
	// warnings is the number of Warnings of the set in force.
	warnings prometheus.Gauge
	checked  string // the version whose Warnings were logged; only Run uses it
	found    string // the version whose files were there; only Open and Run use it

	inForce *cell.Cell[InForce]
	shared  *cell.Cell[sharedFaults]
	current *cell.Reads[*InForce]

	mu       sync.RWMutex
	active   *InForce // nil until a set is in force
	revision uint64   // of active
	own      string   // the version of this process's last proposal; "" for none
	faults   faults
	refused  *Refused // nil if this process's files have no faults
}

// Option changes how a Book works.
type Option func(*Book)

// WithMetrics registers the metric of the book with r.
func WithMetrics(r prometheus.Registerer) Option {
	return func(b *Book) { b.warnings = warningsGauge(r) }
}

func warningsGauge(r prometheus.Registerer) prometheus.Gauge {
	return measure.With(r).Gauge("gavel_rules_warnings", "Faults that new checks of rule files find in the set in force, which an earlier version accepted.")
}

// Open reads the set in force. Run keeps it up to date.
func Open(ctx context.Context, bucket Bucket, log *slog.Logger, options ...Option) (*Book, error) {
	sets, err := lru.New[string, compiled](maxCompiled)
	if err != nil {
		return nil, fmt.Errorf("open the rules in force: %w", err)
	}
	b := &Book{bucket: bucket, log: log, sets: sets, parse: rules.ParseAccepted, warnings: warningsGauge(nil)}
	for _, change := range options {
		change(b)
	}
	b.inForce = cell.New(bucket, cell.Config[InForce]{Key: activeKey, Within: answerTime, Kept: b.follow, Again: true})
	b.shared = cell.New(bucket, cell.Config[sharedFaults]{Key: faultsKey, Within: answerTime, Decode: decodeFaults})
	b.current = cell.NewReads[*InForce](currentTime, ErrNoAnswer)
	_, err = b.read(ctx)
	if lost := b.checkSet(ctx); lost != nil {
		log.Error("files of the rules in force are lost: no rule acts", "error", lost)
	}
	if errors.Is(err, events.ErrKeyDamaged) { // the door has to open all the same
		log.Error("rules in force are damaged: no rule acts; SIGHUP to the process with the rule files puts them in force again", "error", err)
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the rules in force: %w", err)
	}
	return b, nil
}

// Run follows the bucket until ctx ends. While the bucket does not answer, the set
// that was read last stays in force.
func (b *Book) Run(ctx context.Context) {
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	share := time.NewTicker(shareEvery)
	defer share.Stop()
	lost := false
	for {
		var err error
		select {
		case <-tick.C:
			if _, err = b.read(ctx); err == nil {
				b.warn(ctx)
			}
			_ = b.checkSet(ctx) // logged at the start, and a condition of the store
		case <-share.C:
			err = b.shareFaults(ctx)
		case <-ctx.Done():
			return
		}
		if err != nil && !lost && ctx.Err() == nil {
			b.log.Warn("reading the rules in force failed: the last ones that were read stay in force", "error", err)
		}
		lost = err != nil
	}
}

// maxWarnings bounds the log lines about one set.
const maxWarnings = 20

// warn logs and counts, once for each set in force, what new checks of rule files find in it. A set
// that this version cannot compile has no warnings: the lanes report it.
func (b *Book) warn(ctx context.Context) {
	active, some := b.Active()
	if !some || active.Version == b.checked {
		return
	}
	set, err := b.Set(ctx, active.Version)
	switch faults := (schema.Faults)(nil); {
	case errors.As(err, &faults):
		set = new(rules.Set)
	case err != nil: // the bucket does not answer; the next tick reads it again
		return
	}
	b.warnings.Set(float64(len(set.Warnings)))
	if len(set.Warnings) > 0 {
		b.log.Warn("rules in force have faults by new checks: they stay in force, and as a proposal they would be refused",
			"version", active.Version, "faults", len(set.Warnings))
	}
	for _, w := range set.Warnings[:min(len(set.Warnings), maxWarnings)] {
		b.log.Warn("fault in the rules in force", "fault", w.String())
	}
	b.checked = active.Version
}

// read reads which set is in force. Load is empty until a set is.
func (b *Book) read(ctx context.Context) (*InForce, error) {
	active, err := b.inForce.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read which rules are in force: %w", err)
	}
	return active, nil
}

// checkSet returns ErrUnknownVersion if the files of the set in force are lost, so that the bucket reports
// it, and that it is there again. A lane that needs the set fails for every other reason.
func (b *Book) checkSet(ctx context.Context) error {
	active, some := b.Active()
	if !some || active.Version == b.found {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	_, _, err := b.bucket.Read(ctx, setPrefix+active.Version)
	switch {
	case err == nil:
		b.found = active.Version
	case errors.Is(err, events.ErrKeyNotFound), errors.Is(err, events.ErrKeyDamaged):
		return fmt.Errorf("set %s: %w", active.Version, ErrUnknownVersion)
	}
	return nil
}

// follow stores the set in force, unless this process already has a newer
// revision.
func (b *Book) follow(active *InForce, revision uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if revision <= b.revision {
		return
	}
	b.active, b.revision = active, revision
	b.log.Info("rules in force", "version", active.Version, "from", active.Origin, "since", active.Since)
}

// Active returns the load of the set in force. It returns false until a set is.
func (b *Book) Active() (events.Load, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.active == nil {
		return events.Load{}, false
	}
	return events.Load{ID: b.active.Load, Version: b.active.Version, At: b.active.Since}, true
}

// Current returns the set in force as the bucket's leader has it, nil if no set is. Concurrent calls
// share reads, and no read begins before the call. The error is that of a bucket that does not
// answer within 500 ms, whose value is damaged, or whose set this version cannot compile.
func (b *Book) Current(ctx context.Context) (*rules.Set, error) {
	active, err := b.current.Get(ctx, b.read)
	if err != nil {
		return nil, err
	}
	if active.Load == "" {
		return nil, nil
	}
	return b.Set(ctx, active.Version)
}

// Status describes the rules in force to an operator.
type Status struct {
	// InForce is nil until a set is in force.
	InForce *InForce
	// Own is the version of this process's own files if another version is in
	// force. Otherwise it is "".
	Own string
	// Faults counts failed evaluations in all processes since the set came into
	// force, by rule and place.
	Faults []Fault
	// Fired counts the decisions in all processes, by rule.
	Fired []Fired
	// Refused is nil unless this process's own files have faults.
	Refused *Refused
}

// Status returns the state that this process has, without reading the bucket.
func (b *Book) Status() Status {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s := Status{Own: b.own, Faults: b.faults.list(), Fired: b.faults.listFired(), Refused: b.refused}
	if b.active != nil {
		active := *b.active
		s.InForce = &active
		if s.Own == active.Version {
			s.Own = ""
		}
	}
	return s
}
