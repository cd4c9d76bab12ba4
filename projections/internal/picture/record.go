package picture

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gavel/projections"
)

// The fields of a record. A participant and a recording have a field each, so
// that a write touches only what changed, and a conference of 250 legs costs
// no more than one of two.
const (
	versionField     = "v" // the book's version, compared by every write
	bookField        = "b"
	headField        = "h"  // the conference without participants and recordings
	participantField = "p:" // with the CallSid
	recordingField   = "r:" // with the RecordingSid, or the URL where there is none
)

// fields returns what a write has to store, name and value in turn. Before and
// after share what did not change, so equal pointers are equal parts.
func fields(before, after *projections.Conference, book projections.Book) ([]string, error) {
	e := encoder{out: make([]string, 0, 10)}
	e.add(versionField, strconv.FormatUint(book.Version, 10))
	e.addJSON(bookField, &book)
	head := *after
	head.Participants, head.Recordings = nil, nil
	e.addJSON(headField, &head)
	if before == nil {
		before = &projections.Conference{}
	}
	for _, p := range changed(before.Participants, after.Participants, participantKey) {
		e.addJSON(participantField+participantKey(p), p)
	}
	for _, r := range changed(before.Recordings, after.Recordings, recordingKey) {
		e.addJSON(recordingField+recordingKey(r), r)
	}
	return e.out, e.err
}

func participantKey(p *projections.Participant) string { return p.CallSid }

func recordingKey(r *projections.Recording) string { return cmp.Or(r.Sid, r.URL) }

// changed returns the parts of after that are not in before. Both are in the
// same order, and parts are only ever added or replaced.
func changed[T any](before, after []*T, key func(*T) string) []*T {
	var out []*T
	i := 0
	for _, part := range after {
		if i < len(before) && before[i] == part {
			i++
			continue
		}
		out = append(out, part)
		if i < len(before) && key(before[i]) == key(part) {
			i++
		}
	}
	return out
}

type encoder struct {
	out []string
	err error
}

func (e *encoder) add(field, value string) { e.out = append(e.out, field, value) }

func (e *encoder) addJSON(field string, value any) {
	b, err := json.Marshal(value)
	if err != nil {
		e.err = cmp.Or(e.err, fmt.Errorf("encode record: %w", err))
		return
	}
	e.add(field, string(b))
}

// decode reads what fields wrote. An empty hash is no record.
func decode(hash map[string]string) (projections.Stored, error) {
	if len(hash) == 0 {
		return projections.Stored{}, nil
	}
	s := projections.Stored{Conference: &projections.Conference{}}
	for field, value := range hash {
		if err := decodeField(&s, field, value); err != nil {
			return projections.Stored{}, fmt.Errorf("decode field %.1q of a record: %w", field, err)
		}
	}
	sortParts(s.Conference)
	return s, nil
}

func decodeField(s *projections.Stored, field, value string) error {
	c := s.Conference
	switch {
	case field == bookField:
		return json.Unmarshal([]byte(value), &s.Book)
	case field == headField:
		return json.Unmarshal([]byte(value), c)
	case strings.HasPrefix(field, participantField):
		p := new(projections.Participant)
		c.Participants = append(c.Participants, p)
		return json.Unmarshal([]byte(value), p)
	case strings.HasPrefix(field, recordingField):
		r := new(projections.Recording)
		c.Recordings = append(c.Recordings, r)
		return json.Unmarshal([]byte(value), r)
	}
	return nil
}

// sortParts restores the order in which Fold keeps participants and
// recordings; a hash has none.
func sortParts(c *projections.Conference) {
	slices.SortFunc(c.Participants, func(a, b *projections.Participant) int {
		return strings.Compare(a.CallSid, b.CallSid)
	})
	slices.SortFunc(c.Recordings, func(a, b *projections.Recording) int {
		return cmp.Or(strings.Compare(a.Sid, b.Sid), strings.Compare(a.URL, b.URL))
	})
}
