package lanes

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"gavel/events"
	"gavel/projections"
	"gavel/rules"
)

// Ready is what one step leads to. The host must process the fields in their order (see the
// package's doc); those of a batch of steps may be processed together, field by field.
type Ready struct {
	// Matches are to be appended to the lanes of their counts (see MatchEntry).
	Matches []rules.Decision
	// Decisions are to be published, each once for ever (see Decided).
	Decisions []rules.Decision
	// Alarm is when the conference must be woken; zero leaves its alarm alone. A
	// later alarm of the same conference replaces an earlier one.
	Alarm time.Time
	// Changed: the conference is to be saved, with its rule state.
	Changed bool
	// LaneChanged: the lane's state (see MarshalState) is to be saved, together with the position.
	LaneChanged bool
	// Loaded: a rule set came into force, an operator exempted a name or reset a rule, or such an entry
	// was repeated. All conferences that have not ended must be woken.
	Loaded bool
	// News must be published; its Entry is nil without news.
	News News
	// Letter is for an entry that can never be applied; nil otherwise.
	Letter *events.DeadLetter

	// The rest is for metrics and logs.

	// Fresh: the entry is a new fact. Late: a fact with a greater SequenceNumber was folded before.
	// Jumped is how many sequence numbers it skipped. Double: the entry is a duplicate.
	Fresh, Late bool
	Jumped      int64
	Double      bool
	// Skipped: an entry of Gavel's own that this build does not understand.
	Skipped bool
	// Overdue is how long after its alarm a wake-up came.
	Overdue time.Duration
	// Faults are expressions of rules that have no value.
	Faults []rules.ExpressionFault
}

// News is a fact to be published, and the record right after it.
type News struct {
	Entry *Entry
	Late  bool
	After *projections.Conference
}

// setNews adds the news of an entry, unless it was published before this
// projector acquired the lane.
func (r *Ready) setNews(e *Entry, c *Conference, late bool) {
	if e.At.After(c.LastNews) {
		r.News = News{Entry: e, Late: late, After: c.Record}
	}
}

// AppendCloudEvent appends the news as a CloudEvent.
func (n *News) AppendCloudEvent(data []byte) []byte {
	var scratch [1024]byte
	conference := projections.AppendStated(scratch[:0], n.After)
	e := n.Entry.Event
	if words := projections.Differences(n.After, &e); words != "" {
		e.Params = append(slices.Clip(e.Params), events.Param{Name: "Differences", Value: words})
	}
	return events.AppendCloudEvent(data, &e, n.Late, conference)
}

// add sorts decisions into those that are counted and those that are performed.
func (r *Ready) add(decisions []rules.Decision) {
	for _, d := range decisions {
		if d.Verdict == rules.Match {
			r.Matches = append(r.Matches, d)
		} else {
			r.Decisions = append(r.Decisions, d)
		}
	}
}

// Decided returns a decision as it is published: made in that lane, at that position.
func Decided(d rules.Decision, lane int, at events.Position) (events.Decided, error) {
	raw, err := json.Marshal(d)
	if err != nil {
		return events.Decided{}, fmt.Errorf("encode a decision of rule %s: %w", d.Rule, err)
	}
	return events.Decided{
		ID: d.ID, Key: events.Key{AccountSid: d.AccountSid, ConferenceSid: d.ConferenceSid}, Rule: d.Rule,
		Lane: lane, Position: at, AsOf: d.AsOf, Data: raw,
	}, nil
}

// MatchEntry returns the journal entry of a match. at is when the entry was received that led to
// the match. key chooses the lane that counts it, in place of a ConferenceSid.
func MatchEntry(d rules.Decision, at time.Time) (key string, e events.Entry, err error) {
	raw, err := json.Marshal(d)
	if err != nil {
		return "", e, fmt.Errorf("encode a match of rule %s: %w", d.Rule, err)
	}
	m := events.Match{ID: d.ID, AccountSid: d.AccountSid, Rule: d.Rule, Decision: string(raw)}
	return countKey(d.AccountSid, d.Rule, d.By), events.NewMatch(m, at), nil
}
