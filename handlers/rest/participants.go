package rest

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"gavel/events"
	"gavel/projections"
)

// history is Gavel's own parameter: it adds participants that left, also of
// ended conferences. Twilio returns only connected ones.
const history = "GavelHistory"

// member is a participant, or a leg that is being dialled into the conference.
type member struct {
	*projections.Participant
	dialled *projections.Dialled
}

// append appends it as Twilio's resource.
func (m member) append(b []byte, c *projections.Conference) []byte {
	if m.dialled != nil {
		return projections.AppendDialled(b, c, m.dialled)
	}
	return projections.AppendParticipant(b, c, m.Participant)
}

// membersOf returns all participants, and the legs that are being dialled at that moment.
func membersOf(c *projections.Conference, now time.Time) []member {
	var all []member
	for _, p := range c.Participants {
		all = append(all, member{Participant: p})
	}
	for _, l := range c.Dialling(projections.At(now)) {
		all = append(all, member{l.Leg(), l})
	}
	return all
}

// listParticipants answers GET .../Participants.json, newest first. Twilio documents that it sorts
// by date_created, but not the direction; this is the direction of its conferences.
func listParticipants(c *projections.Conference, now time.Time, t target, q url.Values) ([]byte, error) {
	f := &filters{q: q}
	keep := participantFilter(f, c)
	p, err := f.paging("CA")
	if err != nil {
		return nil, err
	}
	sid := func(m member) string { return m.CallSid }
	items, more, err := cut(newest(membersOf(c, now)), sid, keep, p)
	if err != nil {
		return nil, err
	}
	return list[member]{
		key: "participants", path: t.path, filters: f.kept, paging: p,
		items: items, more: more, sid: sid,
		append: func(b []byte, m member) []byte { return m.append(b, c) },
	}.appendTo(nil), nil
}

// participantFilter reads the filters of the list of participants.
func participantFilter(f *filters, c *projections.Conference) func(member) bool {
	muted, hold, coaching, all := f.flag("Muted"), f.flag("Hold"), f.flag("Coaching"), f.flag(history)
	return func(m member) bool {
		flags := m.Flags.Value
		return (isTrue(all) || listed(c, m)) &&
			passes(muted, flags.Muted) && passes(hold, flags.Hold) && passes(coaching, flags.Coaching)
	}
}

func isTrue(flag *bool) bool { return flag != nil && *flag }

func passes(want *bool, is bool) bool { return want == nil || *want == is }

// listed reports whether Twilio lists it: it is in the conference, or called into it.
func listed(c *projections.Conference, m member) bool {
	return m.dialled != nil || c.End == nil && m.Live() && !c.EndInferred()
}

func newest(all []member) []member {
	slices.SortFunc(all, func(a, b member) int {
		return cmp.Or(cmp.Compare(b.FirstSign(), a.FirstSign()), strings.Compare(b.CallSid, a.CallSid))
	})
	return all
}

// fetchParticipant answers GET .../Participants/{CallSid or label}.json.
func fetchParticipant(c *projections.Conference, now time.Time, t target, q url.Values) ([]byte, error) {
	f := &filters{q: q}
	all := f.flag(history)
	if f.err != nil {
		return nil, f.err
	}
	m, found := findMember(c, now, t.member, isTrue(all))
	if !found {
		return nil, projections.ErrNotFound
	}
	return m.append(nil, c), nil
}

// findMember finds a leg by CallSid or by label; a label cannot look like a CallSid (Twilio
// error 16024). Of several legs with the same label, it returns the listed one, else the newest;
// of two at the same time, the one with the later event.
func findMember(c *projections.Conference, now time.Time, name string, gone bool) (found member, ok bool) {
	isSid := events.IsSid("CA", name)
	if isSid {
		name = events.CanonicalSid(name)
	}
	for _, m := range membersOf(c, now) {
		if isSid && m.CallSid != name || !isSid && m.Label.Value != name || !gone && !listed(c, m) {
			continue
		}
		if !ok || newer(c, m, found) {
			found, ok = m, true
		}
	}
	return found, ok
}

// newer reports whether a look-up by label prefers a to b.
func newer(c *projections.Conference, a, b member) bool {
	if listed(c, a) != listed(c, b) {
		return listed(c, a)
	}
	return cmp.Or(cmp.Compare(a.FirstSign(), b.FirstSign()), projections.CompareTurns(a.Last, b.Last)) > 0
}
