package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/projections"
)

// process is a running Gavel: a store, and the state that the projector keeps.
type process struct {
	t     *testing.T
	store projections.Store
	lanes int
	// known holds the records it last loaded or saved.
	known map[events.Key]projections.Stored
	// at is the journal's position.
	at events.Position
}

// open starts a process on a Redis with its current data.
func open(t *testing.T, h Harness, lanes int) *process {
	t.Helper()
	p := &process{t: t, store: h.Open(t, lanes), lanes: lanes, known: map[events.Key]projections.Stored{}}
	p.at.Sequence = 1
	return p
}

// filled starts a process on a picture of records, and checks it.
func filled(t *testing.T, h Harness, lanes int, records ...*projections.Conference) *process {
	t.Helper()
	p := open(t, h, lanes)
	p.fill(records...)
	p.check(0)
	return p
}

// fill builds every lane from records.
func (p *process) fill(records ...*projections.Conference) {
	p.t.Helper()
	p.at.Sequence++
	for lane := range p.lanes {
		b := p.build(lane)
		for some := range slices.Chunk(p.ofLane(lane, records), 500) {
			p.must(b.Put(p.ctx(), p.firsts(some)), "put")
		}
		p.must(b.Commit(p.ctx(), p.at, nil), "commit")
	}
}

// build starts a build of a lane.
func (p *process) build(lane int) projections.Build {
	p.t.Helper()
	b, err := p.store.Build(p.ctx(), lane)
	p.must(err, "build")
	return b
}

// firsts returns records as a build puts them, and adds them to known.
func (p *process) firsts(records []*projections.Conference) []projections.Write {
	var out []projections.Write
	for _, c := range records {
		s := projections.Stored{Conference: c, Book: projections.Book{Version: 1, Applied: p.at, LastEventAt: c.Updated}}
		p.known[keyOf(c)] = s
		out = append(out, s.First())
	}
	return out
}

func (p *process) ofLane(lane int, records []*projections.Conference) []*projections.Conference {
	return slices.DeleteFunc(slices.Clone(records), func(c *projections.Conference) bool {
		return events.Lane(c.ConferenceSid, p.lanes) != lane
	})
}

// check claims all lanes.
func (p *process) check(floor uint64) {
	p.t.Helper()
	for lane := range p.lanes {
		p.must(p.store.Check(p.ctx(), lane, floor), "check")
	}
}

// save writes records and fails the test on an error.
func (p *process) save(records ...*projections.Conference) {
	p.t.Helper()
	p.must(p.trySave(records...), "save")
}

// trySave writes records over those in known, then records the position.
func (p *process) trySave(records ...*projections.Conference) error {
	p.at.Sequence++
	for lane := range p.lanes {
		writes := p.writes(p.ofLane(lane, records))
		if err := p.store.Save(p.ctx(), lane, writes); err != nil {
			return err
		}
		if err := p.store.NoteApplied(p.ctx(), lane, p.at, nil, ""); err != nil {
			return err
		}
		for _, w := range writes {
			p.known[keyOf(w.After)] = projections.Stored{Conference: w.After, Book: w.Book}
		}
	}
	return nil
}

func (p *process) writes(records []*projections.Conference) []projections.Write {
	var out []projections.Write
	for i, c := range records {
		before := p.known[keyOf(c)]
		book := projections.Book{
			Version:     before.Book.Version + 1,
			Applied:     events.Position{Sequence: p.at.Sequence, Index: i},
			LastEventAt: c.Updated,
			Doubtful:    []projections.Doubt{{ID: fmt.Sprintf("%s/%d", c.ConferenceSid, i), At: p.at, Late: true}},
		}
		out = append(out, projections.Write{
			Before: before.Conference, After: c, Expect: before.Book.Version, Book: book,
		})
	}
	return out
}

// load reads records again, as a projector does after a conflict.
func (p *process) load(records ...*projections.Conference) {
	p.t.Helper()
	for _, c := range records {
		got, err := p.tryLoad(keyOf(c))
		p.must(err, "load")
		p.known[keyOf(c)] = got
	}
}

func (p *process) tryLoad(key events.Key) (projections.Stored, error) {
	lane := events.Lane(key.ConferenceSid, p.lanes)
	got, err := p.store.Load(p.ctx(), lane, []events.Key{key})
	if err != nil {
		return projections.Stored{}, err
	}
	return got[0], nil
}

// shows checks that readers get exactly records, by every way of reading.
func (p *process) shows(records ...*projections.Conference) {
	p.t.Helper()
	want := map[string][]*projections.Conference{}
	for _, c := range records {
		want[c.AccountSid] = append(want[c.AccountSid], c)
		got, err := p.store.Conference(p.ctx(), keyOf(c))
		p.must(err, "read "+c.ConferenceSid)
		p.same(got.Conference, c)
	}
	got, err := p.store.Accounts(p.ctx())
	p.must(err, "read accounts")
	p.same(got, slices.Sorted(maps.Keys(want)))
	for account, records := range want {
		newestFirst(records)
		p.same(p.list(account, projections.Query{Limit: 1000}), sids(records))
	}
}

// list returns the SIDs of one page.
func (p *process) list(account string, q projections.Query) []string {
	p.t.Helper()
	page, err := p.store.Conferences(p.ctx(), account, q)
	p.must(err, "list")
	return sids(page.Conferences)
}

func (p *process) same(got, want any) {
	p.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Errorf("differs (-want +got):\n%s", diff)
	}
}

func (p *process) must(err error, what string) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

func (p *process) ctx() context.Context { return p.t.Context() }

// wantErr checks that err is target.
func wantErr(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got %v, want %v", what, err, target)
	}
}

// account returns the nth account.
func account(n int) string { return fmt.Sprintf("AC%032x", n) }

// noon is a time in the middle of a day, 2026-03-02.
const noon projections.Instant = 1772452800

const (
	minute = 60
	hour   = 60 * minute
	oneDay = 24 * hour
)

// conference makes the nth conference, of account 1, created and last updated at a time.
func conference(n int, at projections.Instant) *projections.Conference {
	return &projections.Conference{
		AccountSid:    account(1),
		ConferenceSid: fmt.Sprintf("CF%032x", n),
		FriendlyName:  projections.Stated[string]{Seq: 1, Value: "Support"},
		Created:       at,
		Updated:       at,
		Seen:          projections.Ranges{{1, 1}},
	}
}

// with returns c changed by edit; the parts they share stay shared.
func with(c *projections.Conference, edit func(*projections.Conference)) *projections.Conference {
	after := *c
	edit(&after)
	return &after
}

func started(c *projections.Conference) *projections.Conference {
	return with(c, func(c *projections.Conference) {
		c.Start = &projections.Moment{Seq: 2, At: c.Created}
	})
}

func ended(c *projections.Conference, at projections.Instant) *projections.Conference {
	return with(started(c), func(c *projections.Conference) {
		c.Updated = max(c.Updated, at)
		c.End = &projections.Ending{
			Moment: projections.Moment{Seq: 9, At: at},
			Reason: "last-participant-left", CallSid: leg(1, at).CallSid, Label: "<ann> & \u2028 co",
		}
	})
}

func named(c *projections.Conference, name string) *projections.Conference {
	return with(c, func(c *projections.Conference) { c.FriendlyName.Value = name })
}

// leg makes a participant with a value in every field.
func leg(n int, at projections.Instant) *projections.Participant {
	return &projections.Participant{
		CallSid: fmt.Sprintf("CA%032x", n), Created: at, Updated: at + 1,
		Flags:   projections.Stated[projections.Flags]{Seq: 3, Value: projections.Flags{Muted: true, EndConferenceOnExit: true}},
		Label:   projections.Stated[string]{Seq: 3, Value: "agent \"7\""},
		Present: []projections.Turn{{Seq: 3, At: at, On: true}, {Seq: 5, At: at + 1}},
		Held:    []projections.Turn{{Seq: 4, At: at, On: true}},
		Last:    projections.Turn{Seq: 5, At: at + 1},
		Left:    &projections.Leaving{Moment: projections.Moment{Seq: 5, At: at + 1}, Reason: "participant_hung_up"},
		Summary: &projections.LegSummary{Joined: at, Left: at + 2},
	}
}

// action makes the nth action with a value in every field except its outcome.
func action(n int, at projections.Instant) *projections.ActionRecord {
	return &projections.ActionRecord{
		ID: fmt.Sprintf("01J%023d", n), Do: events.DoKick, CallSid: leg(n, at).CallSid, RecordingSid: "RE1",
		Asked: "Muted=true", Actor: events.Actor{Sid: "SK1", Name: "kate <\u2028>", Rule: "end-orphaned"}, At: at, Intent: true,
	}
}

func answered(a *projections.ActionRecord, at projections.Instant) *projections.ActionRecord {
	after := *a
	after.Outcome = &projections.ActionResult{Result: events.Failed, Status: 404, Code: 20404, At: at, Why: "already"}
	return &after
}

func keyOf(c *projections.Conference) events.Key {
	return events.Key{AccountSid: c.AccountSid, ConferenceSid: c.ConferenceSid}
}

func sids(records []*projections.Conference) []string {
	out := make([]string, len(records))
	for i, c := range records {
		out[i] = c.ConferenceSid
	}
	return out
}

// newestFirst sorts records in the order of lists.
func newestFirst(records []*projections.Conference) {
	slices.SortFunc(records, func(a, b *projections.Conference) int {
		if a.Created != b.Created {
			return int(b.Created - a.Created)
		}
		return -1 * cmpString(a.ConferenceSid, b.ConferenceSid)
	})
}

func cmpString(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}
