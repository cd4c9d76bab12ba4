package project

import (
	"time"

	"gavel/events"
	"gavel/internal/chain"
	"gavel/internal/crashpoint"
	"gavel/lanes"
	"gavel/rules"
)

// batch is the journal messages that pass through the stages together. The stage
// that holds it owns it.
type batch struct {
	groups []events.Group

	// From the receiver; the folder adds dead letters.
	read   lanes.Reader
	record chain.Record // empty if the lane has no chain

	// From the folder, in the order of lanes.Ready. changes are the conferences
	// of the entries, in the order of their first entries.
	changes   []change
	matches   []match
	decisions []events.Decided
	counted   []counted // for the metrics of the decisions
	laneState []byte    // to be saved, nil if it did not change
	loaded    bool      // new rules came into force
	news      []lanes.News
}

// change is one conference on its way through the batch.
type change struct {
	key    events.Key
	before lanes.Conference
	after  lanes.Conference
	// alarm is when the conference is to be evaluated again, or zero.
	alarm time.Time
	// dirty: the record or its rule state changed.
	dirty bool
}

// add adds the result of one step.
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

// counted is what the metrics and the rule book count of a decision.
type counted struct {
	rule    string
	verdict rules.Verdict
	asOf    time.Time
}

// last is the stream sequence of the batch's last group.
func (b *batch) last() uint64 { return b.groups[len(b.groups)-1].Sequence }

// chain is the batch's record as Redis stores it.
func (b *batch) chain() string {
	if b.record.Empty() {
		return ""
	}
	return b.record.Brief()
}

// pass passes a crash point of decisions, if the batch has a decision.
func (b *batch) pass(p crashpoint.Point) {
	if len(b.decisions) > 0 {
		crashpoint.Pass(p)
	}
}

// reset empties a finished batch so that its slices can be reused. Their elements
// would keep journal messages in memory.
func (b *batch) reset() {
	b.read.Reset()
	clear(b.changes)
	clear(b.news)
	b.changes, b.news = b.changes[:0], b.news[:0]
	b.groups, b.matches, b.decisions, b.counted, b.laneState, b.loaded, b.record = nil, nil, nil, nil, nil, false, chain.Record{}
}
