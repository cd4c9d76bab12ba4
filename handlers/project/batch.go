package project

import (
	"time"

	"gavel/events"
	"gavel/internal/crashpoint"
	"gavel/lanes"
)

// batch is the journal messages that pass through the stages together. The stage
// that holds it owns it.
type batch struct {
	groups []events.Group

	// From the receiver; the folder adds dead letters.
	read lanes.Reader

	// From the folder, in the order of lanes.Ready. changes are the conferences
	// that the entries are about, in the order in which they are met.
	changes   []change
	matches   []match
	decisions []events.Decided
	verdicts  []verdict // of the decisions
	laneState []byte    // to be saved, nil if it did not change
	loaded    bool      // other rules came into force
	news      []lanes.News
}

// change is one conference on its way through the batch.
type change struct {
	key    events.Key
	before lanes.Conference
	after  lanes.Conference
	// alarm is when to wake the conference, or zero.
	alarm time.Time
	// dirty: the record or its rule state changed.
	dirty bool
}

// add adds what one step led to.
func (c *change) add(r *lanes.Ready) {
	c.dirty = c.dirty || r.Changed
	if !r.Alarm.IsZero() {
		c.alarm = r.Alarm
	}
}

// match is the journal entry of a match, and the key of its count.
type match struct {
	key   string
	entry events.Entry
}

// verdict is what metrics count of a decision.
type verdict struct{ rule, verdict string }

// last is the stream sequence of the batch's last group.
func (b *batch) last() uint64 { return b.groups[len(b.groups)-1].Sequence }

// pass passes a crash point of the life of a decision, if the batch has one.
func (b *batch) pass(p crashpoint.Point) {
	if len(b.decisions) > 0 {
		crashpoint.Pass(p)
	}
}

// reset empties a finished batch so that its slices can be used again. What they
// point to would keep journal messages in memory.
func (b *batch) reset() {
	b.read.Reset()
	clear(b.changes)
	clear(b.news)
	b.changes, b.news = b.changes[:0], b.news[:0]
	b.groups, b.matches, b.decisions, b.verdicts, b.laneState, b.loaded = nil, nil, nil, nil, nil, false
}
