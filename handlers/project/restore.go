package project

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gavel/events"
	"gavel/lanes"
	"gavel/rules"
)

// restoreBytes bounds the decisions that a fill collects. Of more, the oldest are dropped.
const restoreBytes = 16 << 20

// errRestoring is why a complete picture is filled.
var errRestoring = errors.New("decisions were lost, and are made again")

// decided collects the decisions of a fill since a time. A nil one collects nothing.
type decided struct {
	lane  int
	since time.Time
	all   []events.Decided
	bytes int
}

func (c *decided) add(decisions []rules.Decision, at events.Position) error {
	if c == nil {
		return nil
	}
	for _, d := range decisions {
		made, err := lanes.Decided(d, c.lane, at)
		if err != nil {
			return err
		}
		if made.AsOf.Before(c.since) {
			continue
		}
		c.all, c.bytes = append(c.all, made), c.bytes+len(made.Data)
		for c.bytes > restoreBytes {
			c.bytes -= len(c.all[0].Data)
			c.all = c.all[1:]
		}
	}
	return nil
}

// collector returns what collects the decisions of the lane's next fill, nil if none was lost. The
// decisions before an acceptance were made from entries that the journal has lost since, so they must not be
// made again.
func (k *keeper) collector(o *opened) *decided {
	if k.config.Restore == nil || k.restored || o == nil || o.accepted {
		return nil
	}
	since := k.config.Now().Add(-k.config.RestoreFor)
	if o.since.After(since) {
		since = o.since
	}
	return &decided{lane: k.lane.Number(), since: since}
}

// restore stores the decisions that are missing. Each is performed like one that waited: the record
// shows what was done already.
func (k *keeper) restore(ctx context.Context, c *decided) error {
	if c == nil {
		return nil
	}
	missing, err := k.config.Restore(ctx, c.all)
	for _, d := range missing {
		k.log.Error("decision was damaged in the store and is stored again", "decision", d.ID, "rule", d.Rule,
			"account_sid", d.Key.AccountSid, "conference_sid", d.Key.ConferenceSid)
	}
	if err != nil {
		return fmt.Errorf("store decisions again: %w", err)
	}
	k.restored = true
	return nil
}
