package picture

import (
	"context"
	"math"
)

// Engine is a Redis as the picture needs it. An error of any method is the
// engine's own: the network's, or the server's.
type Engine interface {
	// Apply carries out each change, whole or not at all, in the order given
	// where they share a slot. After an error any of them may have happened.
	Apply(ctx context.Context, changes []Change) ([]SaveResult, error)
	// Hashes reads whole hashes, in the order given where they share a slot. A
	// hash that is absent is empty.
	Hashes(ctx context.Context, keys []string) ([]map[string]string, error)
	// Ranges reads stretches of sorted sets.
	Ranges(ctx context.Context, ranges []Range) ([][]Ref, error)
	// Counts counts what Ranges would read, without limits.
	Counts(ctx context.Context, ranges []Range) ([]int, error)
	// Sweep removes every key that begins with prefix.
	Sweep(ctx context.Context, prefix string) error
	// Close frees what the engine holds.
	Close() error
}

// Change is a guarded change to keys of one slot.
type Change struct {
	// If and the versions of Records are checked first; nothing is done unless
	// all of it holds.
	If []Condition
	// Records and Do are carried out in order, the records first.
	Records []RecordWrite
	Do      []Command
}

// when adds a condition.
func (c *Change) when(key, field, want string) {
	c.If = append(c.If, Condition{key, field, want})
}

// do adds a command.
func (c *Change) do(op Op, key string, args ...string) {
	c.Do = append(c.Do, Command{op, key, args})
}

// Condition wants a field of a hash to have a value; "" wants it absent.
type Condition struct{ Key, Field, Want string }

// RecordWrite is one record, the bulk of all writes: a condition and a
// SetFields in one, because what a script is handed costs by the piece.
type RecordWrite struct {
	Key string
	// Expect is what the value of CoreField must begin with; "" wants no
	// record.
	Expect string
	// Fields are names and values in turn; none only compares.
	Fields []string
}

// CoreField is the field of a record that begins with its version.
const CoreField = "c"

// Op names a Redis command.
type Op string

// The commands a change is made of, and what their arguments are.
const (
	SetFields    Op = "HSET"   // field, value, field, value, ...
	RemoveFields Op = "HDEL"   // field, field, ...
	AddMember    Op = "ZADD"   // score, member
	RemoveMember Op = "ZREM"   // member
	RemoveKey    Op = "UNLINK" // none
)

// Command is one write.
type Command struct {
	Op   Op
	Key  string
	Args []string
}

// Done is the Failed of an outcome without a failure.
const Done = -1

// SaveResult says what became of a change.
type SaveResult struct {
	// Failed is the index of the first condition that did not hold, those of
	// the records counted behind the others, or Done.
	Failed int
	// Got is the value found in its place.
	Got string
}

// Ref is a member of an index and what it is sorted by: a time.
type Ref struct {
	Score  int64
	Member string
}

// The ends of an open range.
const (
	Lowest  = math.MinInt64
	Highest = math.MaxInt64
)

// Range is a stretch of a sorted set by score, both ends inclusive.
type Range struct {
	Key      string
	Min, Max int64
	// Newest walks from Max down, members of one score in descending order.
	Newest bool
	// Limit bounds the members read; 0 reads all.
	Limit int
}
