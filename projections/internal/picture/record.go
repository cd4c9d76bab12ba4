package picture

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"gavel/events"
	"gavel/projections"
)

// The fields of a record: CoreField, which holds the book and the conference itself; one field for
// each participant, recording and action, so that a write contains only what changed and a
// conference of 250 legs costs no more than one of two; and the rule state, if the record has one.
const (
	participantField = "p:" // followed by the CallSid
	recordingField   = "r:" // followed by the RecordingSid, or by the URL if it has none
	actionField      = "a:" // followed by the ID
	rulesField       = "s"
)

// fields returns the fields that a write must store, alternating names and values. Before and after
// share what did not change, so equal pointers are equal parts.
func fields(before, after *projections.Conference, book projections.Book, rules []byte) []string {
	if before == nil {
		before = &projections.Conference{}
	}
	out := make([]string, 0, 4)
	out = append(out, CoreField, encodeCore(after, book))
	for p := range changed(before.Participants, after.Participants, participantKey) {
		out = append(out, participantField+participantKey(p), encodeParticipant(p))
	}
	for r := range changed(before.Recordings, after.Recordings, recordingKey) {
		out = append(out, recordingField+recordingKey(r), encodeRecording(r))
	}
	for a := range changed(before.Actions, after.Actions, actionKey) {
		out = append(out, actionField+a.ID, encodeAction(a))
	}
	if after.Truncated {
		out = append(out, removed(participantField, before.Participants, after.Participants, participantKey)...)
		out = append(out, removed(actionField, before.Actions, after.Actions, actionKey)...)
	}
	if rules != nil {
		out = append(out, rulesField, string(rules))
	}
	return out
}

func participantKey(p *projections.Participant) string { return p.CallSid }

func recordingKey(r *projections.Recording) string { return cmp.Or(r.Sid, r.URL) }

func actionKey(a *projections.ActionRecord) string { return a.ID }

// removed returns fields without a value for the parts that after no longer has, which are as good as
// absent. Only a record that exceeded a bound lost any.
func removed[T any](prefix string, before, after []*T, key func(*T) string) (fields []string) {
	kept := make(map[string]bool, len(after))
	for _, part := range after {
		kept[key(part)] = true
	}
	for _, part := range before {
		if k := key(part); !kept[k] {
			fields = append(fields, prefix+k, "")
		}
	}
	return fields
}

// changed returns the parts of after that are not in before. Both have the same order. Parts that
// follow one that was removed count as changed.
func changed[T any](before, after []*T, key func(*T) string) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		i := 0
		for _, part := range after {
			if i < len(before) && before[i] == part {
				i++
				continue
			}
			if !yield(part) {
				return
			}
			if i < len(before) && key(before[i]) == key(part) {
				i++
			}
		}
	}
}

// decode reads the fields of the conference that key names. An empty hash
// means that the record does not exist.
func decode(key events.Key, hash map[string]string) (projections.Stored, error) {
	if len(hash) == 0 {
		return projections.Stored{}, nil
	}
	c := &projections.Conference{AccountSid: key.AccountSid, ConferenceSid: key.ConferenceSid}
	s := projections.Stored{Conference: c}
	for field, value := range hash {
		if err := decodeField(&s, field, value); err != nil {
			return projections.Stored{}, fmt.Errorf("decode field %.1q of a record: %w", field, err)
		}
	}
	sortParts(c)
	return s, nil
}

// decodeAll decodes the records that keys name; there may be more hashes.
func decodeAll(keys []events.Key, hashes []map[string]string) (_ []projections.Stored, err error) {
	out := make([]projections.Stored, len(keys))
	for i := range keys {
		if out[i], err = decode(keys[i], hashes[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func decodeField(s *projections.Stored, field, value string) error {
	c := s.Conference
	if field == rulesField {
		if value != "" {
			s.Rules = []byte(value)
		}
		return nil
	}
	if value == "" && field != CoreField {
		return nil // the part was removed
	}
	d := decoder{rest: value}
	switch {
	case field == CoreField:
		d.core(s)
	case strings.HasPrefix(field, participantField):
		p := &projections.Participant{CallSid: field[len(participantField):]}
		d.participant(p)
		c.Participants = append(c.Participants, p)
	case strings.HasPrefix(field, recordingField):
		r := new(projections.Recording)
		d.recording(r)
		c.Recordings = append(c.Recordings, r)
	case strings.HasPrefix(field, actionField):
		a := &projections.ActionRecord{ID: field[len(actionField):]}
		d.action(a)
		c.Actions = append(c.Actions, a)
	}
	return d.end()
}

// sortParts restores Fold's order of participants, recordings and actions; a hash has no order.
func sortParts(c *projections.Conference) {
	slices.SortFunc(c.Participants, func(a, b *projections.Participant) int {
		return strings.Compare(a.CallSid, b.CallSid)
	})
	slices.SortFunc(c.Recordings, func(a, b *projections.Recording) int {
		return cmp.Or(strings.Compare(a.Sid, b.Sid), strings.Compare(a.URL, b.URL))
	})
	slices.SortFunc(c.Actions, func(a, b *projections.ActionRecord) int { return strings.Compare(a.ID, b.ID) })
}
