package rest

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"gavel/events"
	"gavel/projections"
)

// history is Gavel's own parameter: it adds participants that left, also of
// ended conferences. Twilio returns only connected ones.
const history = "GavelHistory"

// listParticipants answers GET .../Participants.json, newest first. Twilio documents that it sorts
// by date_created, but not the direction; this is the direction of its conferences.
func listParticipants(c *projections.Conference, t target, q url.Values) ([]byte, error) {
	f := &filters{q: q}
	keep := participantFilter(f, c)
	p, err := f.paging("CA")
	if err != nil {
		return nil, err
	}
	sid := func(p *projections.Participant) string { return p.CallSid }
	items, more, err := cut(newestParticipants(c), sid, keep, p)
	if err != nil {
		return nil, err
	}
	return list[*projections.Participant]{
		key: "participants", path: t.path, filters: f.kept, paging: p,
		items: items, more: more, sid: sid,
		append: func(b []byte, p *projections.Participant) []byte { return projections.AppendParticipant(b, c, p) },
	}.appendTo(nil), nil
}

// participantFilter reads the filters of the list of participants.
func participantFilter(f *filters, c *projections.Conference) func(*projections.Participant) bool {
	muted, hold, coaching, all := f.flag("Muted"), f.flag("Hold"), f.flag("Coaching"), f.flag(history)
	return func(p *projections.Participant) bool {
		flags := p.Flags.Value
		return (isTrue(all) || connected(c, p)) &&
			passes(muted, flags.Muted) && passes(hold, flags.Hold) && passes(coaching, flags.Coaching)
	}
}

func isTrue(flag *bool) bool { return flag != nil && *flag }

func passes(want *bool, is bool) bool { return want == nil || *want == is }

func connected(c *projections.Conference, p *projections.Participant) bool {
	return c.End == nil && p.Live() && !c.EndInferred()
}

func newestParticipants(c *projections.Conference) []*projections.Participant {
	all := slices.Clone(c.Participants)
	slices.SortFunc(all, func(a, b *projections.Participant) int {
		return cmp.Or(cmp.Compare(b.FirstSign(), a.FirstSign()), strings.Compare(b.CallSid, a.CallSid))
	})
	return all
}

// fetchParticipant answers GET .../Participants/{CallSid or label}.json.
func fetchParticipant(c *projections.Conference, t target, q url.Values) ([]byte, error) {
	f := &filters{q: q}
	all := f.flag(history)
	if f.err != nil {
		return nil, f.err
	}
	p := findParticipant(c, t.member, isTrue(all))
	if p == nil {
		return nil, projections.ErrNotFound
	}
	return projections.AppendParticipant(nil, c, p), nil
}

// findParticipant finds a leg by CallSid or by label; a label cannot look like a CallSid (Twilio
// error 16024). Of several legs with the same label, it returns the connected one, else the newest;
// of two at the same time, the one with the later event.
func findParticipant(c *projections.Conference, member string, gone bool) *projections.Participant {
	isSid := events.IsSid("CA", member)
	if isSid {
		member = events.CanonicalSid(member)
	}
	var found *projections.Participant
	for _, p := range c.Participants {
		if isSid && p.CallSid != member || !isSid && p.Label.Value != member || !gone && !connected(c, p) {
			continue
		}
		if found == nil || newer(c, p, found) {
			found = p
		}
	}
	return found
}

// newer reports whether a look-up by label prefers a to b.
func newer(c *projections.Conference, a, b *projections.Participant) bool {
	if connected(c, a) != connected(c, b) {
		return connected(c, a)
	}
	return cmp.Or(cmp.Compare(a.FirstSign(), b.FirstSign()), projections.CompareTurns(a.Last, b.Last)) > 0
}
