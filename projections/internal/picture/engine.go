package picture

import (
	"cmp"
	"context"
	"math"
)

// Engine is a Redis with the commands that the picture needs. An error of any
// method is the engine's own: a network's or a server's.
type Engine interface {
	// Apply executes each change, completely or not at all, in the order given where changes share
	// a slot. After an error any of them may have been executed.
	Apply(ctx context.Context, changes []Change) ([]SaveResult, error)
	// Hashes reads whole hashes, in the order given where they share a slot. An
	// absent hash is returned empty.
	Hashes(ctx context.Context, keys []string) ([]map[string]string, error)
	// Ranges reads ranges of sorted sets.
	Ranges(ctx context.Context, ranges []Range) ([][]Ref, error)
	// Counts returns how many members Ranges would read without limits.
	Counts(ctx context.Context, ranges []Range) ([]int, error)
	// Sweep removes every key that begins with prefix.
	Sweep(ctx context.Context, prefix string) error
	// Close frees the engine's resources.
	Close() error
}

// Change is a conditional change to keys of one slot.
type Change struct {
	// If and the versions of Records are checked first; if one does not hold, nothing is changed.
	If []Condition
	// Records and Do are executed in order, the records first.
	Records []RecordWrite
	Do      []Command
}

// Size returns the number of a change's texts and counts, so that a caller can make room for them.
func (c *Change) Size() int {
	n := 3 + 2*len(c.If)
	for i := range c.Records {
		n += 2 + len(c.Records[i].Fields)
	}
	for i := range c.Do {
		n += 2 + len(c.Do[i].Args)
	}
	return n
}

// when adds a condition.
func (c *Change) when(key, field, want string) {
	c.If = append(c.If, Condition{key, field, want})
}

// do adds a command.
func (c *Change) do(op Op, key string, args ...string) {
	c.Do = append(c.Do, Command{op, key, args})
}

// Condition requires a field of a hash to have a value; an empty Want requires it to be absent.
type Condition struct{ Key, Field, Want string }

// RecordWrite is one record, the bulk of all writes: a condition and a
// SetFields in one, because every argument of a script costs time.
type RecordWrite struct {
	Key string
	// Expect is the required prefix of the value of CoreField; "" requires that no record exists.
	Expect string
	// Fields are alternating names and values; an empty list only compares.
	Fields []string
}

// CoreField is the field of a record whose value begins with the version.
const CoreField = "c"

// Op names a Redis command.
type Op string

// The commands of a change and their arguments.
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

// Done is the value of SaveResult.Failed when every condition held.
const Done = -1

// SaveResult is the result of a change.
type SaveResult struct {
	// Failed is the index of the first condition that did not hold, or Done.
	// Records are counted after the conditions in If.
	Failed int
	// Got is the value found instead.
	Got string
}

// Ref is a member of an index with its score, a time.
type Ref struct {
	Score  int64
	Member string
}

// Compare orders references as Redis does: by score, then by member.
func (r Ref) Compare(other Ref) int {
	return cmp.Or(cmp.Compare(r.Score, other.Score), cmp.Compare(r.Member, other.Member))
}

// The bounds of an open range.
const (
	Lowest  = math.MinInt64
	Highest = math.MaxInt64
)

// Range is a range of a sorted set by score, both ends inclusive.
type Range struct {
	Key      string
	Min, Max int64
	// Newest reads from Max down, members of equal score in descending order.
	Newest bool
	// Limit bounds the members read; 0 means no limit.
	Limit int
}
