package rulebook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"gavel/events"
	"gavel/rules"
)

const (
	// setPrefix begins the keys of sets: set.<version> holds the files of a set.
	// Sets are never deleted: the journal names versions, and a projector that
	// reads the journal again judges by them.
	setPrefix = "set."
	// maxStored bounds an encoded set, in bytes: a message of NATS has at most
	// 1 MiB by default, including its headers.
	maxStored = 1<<20 - 4<<10
	// maxCompiled is how many compiled sets are cached: a lane holds its last 64
	// loads, and a conference is judged by the set in force when it was idle.
	maxCompiled = 64
)

// ErrUnknownVersion is returned for a version that was never in force, or that is lost.
var ErrUnknownVersion = errors.New("no set of rules has that version; if it was in force, it is damaged: " +
	"put the same files in force again, by a restart or SIGHUP of a process that has them")

// ErrCannotKeep is returned for a set that is too big or is not UTF-8.
var ErrCannotKeep = errors.New("cannot store the set of rules")

// compiled is a set, or the error if this version of Gavel cannot compile it.
// Neither changes later, so both are cached.
type compiled struct {
	set *rules.Set
	err error
}

// store stores a set under its version. If that version exists already, it is the
// same set. Only a set without Warnings comes into force.
func (b *Book) store(ctx context.Context, set *rules.Set) error {
	if len(set.Warnings) > 0 {
		return set.Warnings
	}
	value, err := encode(set)
	if err != nil {
		return err
	}
	if _, err := b.bucket.Update(ctx, setPrefix+set.Version, value, 0); err != nil && !errors.Is(err, events.ErrKeyChanged) {
		return fmt.Errorf("store a set of rules: %w", err)
	}
	b.sets.Add(set.Version, compiled{set: set})
	return nil
}

// encode returns the files of a set as JSON. It does not escape <, > and &, which
// are frequent in conditions.
// CheckStorable returns the error, ErrCannotKeep, with which the proposal of a set would fail.
func CheckStorable(set *rules.Set) error {
	_, err := encode(set)
	return err
}

func encode(set *rules.Set) ([]byte, error) {
	for _, f := range set.Files {
		if !utf8.ValidString(f.Name) || !utf8.ValidString(f.Text) { // JSON would replace the bytes, and so change the version
			return nil, fmt.Errorf("%w: %q is not UTF-8", ErrCannotKeep, f.Name)
		}
	}
	var out bytes.Buffer
	to := json.NewEncoder(&out)
	to.SetEscapeHTML(false)
	if err := to.Encode(set.Files); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCannotKeep, err)
	}
	if out.Len() > maxStored {
		return nil, fmt.Errorf("%w: it has %d bytes in JSON, the limit is %d", ErrCannotKeep, out.Len(), maxStored)
	}
	return out.Bytes(), nil
}

// Set returns the compiled set of a version, with Warnings if checks that are newer than the set
// find something. The error wraps ErrUnknownVersion, or schema.Faults if this version of Gavel
// cannot compile the set.
func (b *Book) Set(ctx context.Context, version string) (*rules.Set, error) {
	if c, ok := b.sets.Get(version); ok {
		return c.set, c.err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	value, _, err := b.bucket.Read(ctx, setPrefix+version)
	if errors.Is(err, events.ErrKeyNotFound) || errors.Is(err, events.ErrKeyDamaged) {
		return nil, fmt.Errorf("read set %s: %w", version, ErrUnknownVersion)
	}
	if err != nil {
		return nil, fmt.Errorf("read set %s: %w", version, err)
	}
	c := b.compile(value, version)
	b.sets.Add(version, c)
	return c.set, c.err
}

func (b *Book) compile(value []byte, version string) compiled {
	var files []rules.File
	var set *rules.Set
	err := json.Unmarshal(value, &files)
	if err == nil {
		set, err = b.parse(files...)
	}
	if err == nil && set.Version != version {
		err = fmt.Errorf("its files have the version %s", set.Version)
	}
	if err != nil {
		return compiled{err: fmt.Errorf("compile set %s: %w", version, err)}
	}
	return compiled{set: set}
}
