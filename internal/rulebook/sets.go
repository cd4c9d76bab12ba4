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
	// setPrefix: set.<version> holds the files of a set, for ever: the journal
	// names versions, and whoever reads it again judges by them.
	setPrefix = "set."
	// maxStored bounds a set as it is kept: a message of NATS is at most 1 MiB
	// by default, headers included. Bytes.
	maxStored = 1<<20 - 4<<10
	// maxCompiled is how many sets are kept compiled: a lane knows its last 64
	// loads, and a conference is judged by the one in force when it was idle.
	maxCompiled = 64
)

// ErrUnknownVersion is returned for a set that was never in force.
var ErrUnknownVersion = errors.New("no set of rules has that version")

// ErrCannotKeep is returned for a set that is too big, or no text.
var ErrCannotKeep = errors.New("the set of rules cannot be kept")

// compiled is a set, or why this version of Gavel cannot compile it. Either is
// so for ever.
type compiled struct {
	set *rules.Set
	err error
}

// keep stores a set under its version; one that is there is the same.
func (b *Book) keep(ctx context.Context, set *rules.Set) error {
	value, err := encode(set)
	if err != nil {
		return err
	}
	if _, err := b.bucket.Update(ctx, setPrefix+set.Version, value, 0); err != nil && !errors.Is(err, events.ErrKeyChanged) {
		return fmt.Errorf("keep a set of rules: %w", err)
	}
	b.sets.Add(set.Version, compiled{set: set})
	return nil
}

// encode leaves characters as they are that HTML would mind, which is what
// conditions are made of.
func encode(set *rules.Set) ([]byte, error) {
	for _, f := range set.Files {
		if !utf8.ValidString(f.Name) || !utf8.ValidString(f.Text) { // JSON would mend it, and change the version
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
		return nil, fmt.Errorf("%w: it has %d bytes in JSON, the most are %d", ErrCannotKeep, out.Len(), maxStored)
	}
	return out.Bytes(), nil
}

// Set returns a set by its version, compiled. The error wraps ErrUnknownVersion
// or says what of it this version of Gavel cannot compile, as schema.Faults.
func (b *Book) Set(ctx context.Context, version string) (*rules.Set, error) {
	if c, ok := b.sets.Get(version); ok {
		return c.set, c.err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	value, _, err := b.bucket.Read(ctx, setPrefix+version)
	if errors.Is(err, events.ErrKeyNotFound) {
		return nil, fmt.Errorf("read set %s: %w", version, ErrUnknownVersion)
	}
	if err != nil {
		return nil, fmt.Errorf("read set %s: %w", version, err)
	}
	c := compile(value, version)
	b.sets.Add(version, c)
	return c.set, c.err
}

func compile(value []byte, version string) compiled {
	var files []rules.File
	var set *rules.Set
	err := json.Unmarshal(value, &files)
	if err == nil {
		set, err = rules.Parse(files...)
	}
	if err == nil && set.Version != version {
		err = fmt.Errorf("its files are those of %s", set.Version)
	}
	if err != nil {
		return compiled{err: fmt.Errorf("compile set %s: %w", version, err)}
	}
	return compiled{set: set}
}
