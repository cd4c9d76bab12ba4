package projections

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"gavel/events"
)

// Every choice between two values in a record is made by one of these total
// orders, which compare everything the values hold. That is why the order of
// events does not change Fold's result, even if two events share a number.

func compareMoments(a, b Moment) int {
	return cmp.Or(cmp.Compare(a.Seq, b.Seq), compareBools(a.Healed, b.Healed), cmp.Compare(a.At, b.At))
}

// CompareTurns orders turns as they happened.
func CompareTurns(a, b Turn) int {
	return cmp.Or(
		cmp.Compare(a.Seq, b.Seq),
		compareBools(a.Healed, b.Healed),
		cmp.Compare(a.At, b.At),
		cmp.Compare(a.Milli, b.Milli),
		compareBools(a.On, b.On),
	)
}

// compareEndings puts the ending to keep first: the earliest that a callback
// stated, then healed ones.
func compareEndings(a, b Ending) int {
	return cmp.Or(
		compareBools(a.Healed, b.Healed),
		compareMoments(a.Moment, b.Moment),
		strings.Compare(a.Reason, b.Reason),
		strings.Compare(a.Text, b.Text),
		strings.Compare(a.CallSid, b.CallSid),
		strings.Compare(a.Label, b.Label),
	)
}

func compareLeavings(a, b Leaving) int {
	return cmp.Or(
		compareMoments(a.Moment, b.Moment),
		strings.Compare(a.Reason, b.Reason),
		strings.Compare(a.CallStatus, b.CallStatus),
	)
}

func compareFlags(a, b Flags) int {
	return cmp.Or(
		compareBools(a.Muted, b.Muted),
		compareBools(a.Hold, b.Hold),
		compareBools(a.Coaching, b.Coaching),
		compareBools(a.EndConferenceOnExit, b.EndConferenceOnExit),
		compareBools(a.StartConferenceOnEnter, b.StartConferenceOnEnter),
	)
}

// compareOutcomes puts the more certain result last: done after refused, and refused after unknown.
func compareOutcomes(a, b ActionResult) int {
	return cmp.Or(
		cmp.Compare(certainty(a.Result), certainty(b.Result)),
		cmp.Compare(a.At, b.At),
		cmp.Compare(a.Status, b.Status),
		cmp.Compare(a.Code, b.Code),
		cmp.Compare(a.Why, b.Why),
	)
}

func certainty(r events.Result) int {
	return slices.Index([]events.Result{
		events.Skipped, events.Lapsed, events.Stale, events.Tripped, events.Expired,
		events.Unknown, events.Failed, events.Done,
	}, r)
}

// compareUndated compares the events, not when they were received.
func compareUndated(a, b Undated) int {
	return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Kind, b.Kind), strings.Compare(a.CallSid, b.CallSid))
}

// compareRecordings orders by SID, and by URL only without a SID: the
// URL of a recording with a SID can arrive later.
func compareRecordings(a, b *Recording) int {
	if c := strings.Compare(a.Sid, b.Sid); c != 0 || a.Sid != "" {
		return c
	}
	return strings.Compare(a.URL, b.URL)
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// Equal reports whether two records are equal.
func Equal(a, b *Conference) bool { return reflect.DeepEqual(a, b) }
