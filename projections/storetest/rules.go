package storetest

import (
	"testing"
	"time"

	"gavel/events"
	"gavel/projections"
)

// judge saves a record unchanged, with another rule state and deadline, and
// fails the test on an error.
func (p *process) judge(c *projections.Conference, rules string, due int64) {
	p.t.Helper()
	p.must(p.tryJudge(c, []byte(rules), due), "save a rule state")
}

// tryJudge is judge; nil keeps the stored rule state.
func (p *process) tryJudge(c *projections.Conference, rules []byte, due int64) error {
	p.at.Sequence++
	lane, before := events.Lane(c.ConferenceSid, p.lanes), p.known[keyOf(c)]
	w := projections.Write{
		Before: before.Conference, After: c, Expect: before.Book.Version, DueBefore: before.Book.Due, Rules: rules,
		Book: projections.Book{Version: before.Book.Version + 1, Applied: p.at, LastEventAt: c.Updated, Due: due},
	}
	if err := p.store.Save(p.ctx(), lane, []projections.Write{w}); err != nil {
		return err
	}
	after := projections.Stored{Conference: c, Book: w.Book, Rules: before.Rules}
	if rules != nil {
		after.Rules = rules
	}
	if len(after.Rules) == 0 {
		after.Rules = nil
	}
	p.known[keyOf(c)] = after
	return p.store.NoteApplied(p.ctx(), lane, p.at, nil, "")
}

// keeps checks that another writer and readers get the record, its bookkeeping
// and its rule state as in known.
func (p *process) keeps(h Harness, c *projections.Conference) {
	p.t.Helper()
	other := open(p.t, h, p.lanes)
	other.check(0)
	got, err := other.tryLoad(keyOf(c))
	p.must(err, "load")
	p.same(got, p.known[keyOf(c)])
	got, err = other.store.Conference(p.ctx(), keyOf(c))
	p.must(err, "read")
	p.same(got, p.known[keyOf(c)])
}

func ruleState(t *testing.T, h Harness) {
	c := conference(1, noon)
	p := filled(t, h, 2, c)
	p.keeps(h, c)
	for _, rules := range [][]byte{[]byte(`{"stretch":1}`), nil, []byte("\x00\xff"), {}, nil, []byte("again")} {
		p.must(p.tryJudge(c, rules, 0), "save a rule state")
		p.keeps(h, c)
	}
	p.must(p.tryJudge(started(c), nil, 0), "save a fact")
	p.keeps(h, c)

	old := p.known[keyOf(c)]
	p.judge(started(c), "newer", 0)
	newer := p.known[keyOf(c)]
	p.known[keyOf(c)] = old
	wantErr(t, "save over a newer rule state", p.tryJudge(old.Conference, []byte("stale"), 5), projections.ErrConflict)
	p.known[keyOf(c)] = newer
	p.keeps(h, c)
	p.due(1000)
}

// due checks that the deadlines of all lanes, up to that many milliseconds past
// noon, are those of want, the earliest first.
func (p *process) due(until int64, want ...*projections.Conference) {
	p.t.Helper()
	var got []string
	for lane := range p.lanes {
		found, err := p.store.Due(p.ctx(), lane, noonAnd(until), 100)
		p.must(err, "read deadlines")
		for _, d := range found {
			got = append(got, d.Key.ConferenceSid)
		}
	}
	if len(got)+len(want) > 0 {
		p.same(got, sids(want))
	}
}

// noonAnd is that many milliseconds past noon.
func noonAnd(ms int64) time.Time { return noon.Time().Add(time.Duration(ms) * time.Millisecond) }

func deadlines(t *testing.T, h Harness) {
	at := func(ms int64) int64 { return noonAnd(ms).UnixMilli() }
	a, b, c := conference(1, noon), conference(2, noon), conference(3, noon)
	p := filled(t, h, 1, a, b, c)
	p.due(1000)
	p.judge(a, "a", at(500))
	p.judge(b, "b", at(499))
	p.judge(c, "c", at(1001))
	p.due(498)
	p.due(499, b)
	p.due(1000, b, a)
	p.due(1001, b, a, c)

	p.judge(c, "c", at(1))
	p.judge(b, "b", 0)
	p.due(1000, c, a)
	p.must(p.tryJudge(started(a), nil, at(500)), "save a fact")
	p.due(1000, c, a)

	found, err := p.store.Due(p.ctx(), 0, noonAnd(1000), 1)
	p.must(err, "read the earliest deadline")
	p.same(found, []projections.Due{{Key: keyOf(c), At: noonAnd(1)}})
}

// deadlinesLeave: deadlines are removed with expired conferences, and added
// with those that a build puts.
func deadlinesLeave(t *testing.T, h Harness) {
	c, d := conference(1, noon), conference(2, noon-40*oneDay)
	p := filled(t, h, 1, c, d)
	p.judge(c, "c", noonAnd(1).UnixMilli())
	p.judge(d, "d", noonAnd(2).UnixMilli())
	p.due(1000, c, d)
	_, err := p.store.Expire(p.ctx(), 0, (noon - oneDay).Time())
	p.must(err, "expire")
	p.due(1000, c)

	b := p.build(0)
	stored := p.known[keyOf(c)]
	stored.Book.Due = noonAnd(3).UnixMilli()
	p.known[keyOf(c)] = stored
	p.must(b.Put(p.ctx(), []projections.Write{stored.First()}), "put")
	p.due(2, c)
	p.must(b.Commit(p.ctx(), p.at, nil), "commit")
	p.due(2)
	p.due(3, c)
	p.keeps(h, c)
}

func armed(t *testing.T, h Harness) {
	p := filled(t, h, 4)
	var want, others []projections.Due
	for n := range 60 {
		c := with(conference(n, noon), func(c *projections.Conference) { c.AccountSid = account(n % 2) })
		p.save(c)
		if n%3 > 0 {
			p.judge(c, "state", noonAnd(int64(n)).UnixMilli())
			due := projections.Due{Key: keyOf(c), At: noonAnd(int64(n))}
			if others = append(others, due); n%2 == 1 {
				want = append(want, due)
			}
		}
	}
	for account, want := range map[string][]projections.Due{account(1): want, "": others, account(7): nil} {
		for _, most := range []int{1, 7, 1000} {
			got, err := p.store.Armed(p.ctx(), account, most)
			p.must(err, "list deadlines")
			p.same(got, want[:min(most, len(want))])
		}
	}
}

// note records the position with a state of lane 0, and fails the test on an error.
func (p *process) note(at events.Position, state []byte) {
	p.t.Helper()
	p.must(p.store.NoteApplied(p.ctx(), 0, at, state, ""), "note")
}

// laneState checks that every writer reads that state of lane 0.
func (p *process) laneState(h Harness, want []byte) {
	p.t.Helper()
	for _, writer := range []*process{p, open(p.t, h, p.lanes)} {
		writer.check(0)
		got, err := writer.store.LaneState(p.ctx(), 0)
		p.must(err, "read the lane's state")
		p.same(got, want)
	}
}

func laneState(t *testing.T, h Harness) {
	p := filled(t, h, 2, conference(1, noon))
	p.laneState(h, nil)
	at := func(behind uint64) events.Position {
		return events.Position{Sequence: p.at.Sequence + behind, Index: 500}
	}
	p.note(at(1), []byte("one"))
	p.laneState(h, []byte("one"))
	p.note(at(2), nil)
	p.laneState(h, []byte("one"))
	p.note(at(3), []byte("\x00three"))
	p.note(at(3), []byte("\x00three"))
	p.note(at(2), []byte("two again"))
	p.laneState(h, []byte("\x00three"))
	p.must(p.store.Check(p.ctx(), 0, at(3).Sequence), "check")

	// A process that was replaced cannot restore an old state.
	other := open(t, h, 2)
	other.check(0)
	p.note(at(5), []byte("five"))
	other.note(at(4), []byte("four"))
	p.laneState(h, []byte("five"))

	got, err := p.store.LaneState(p.ctx(), 1)
	p.must(err, "read the state of another lane")
	p.same(got, []byte(nil))
}

func laneStateOfABuild(t *testing.T, h Harness) {
	p := filled(t, h, 1, conference(1, noon))
	p.at.Sequence++
	p.note(p.at, []byte("live"))
	b := p.build(0)
	p.laneState(h, []byte("live"))
	p.must(b.Commit(p.ctx(), p.at, []byte("built")), "commit")
	p.laneState(h, []byte("built"))
	p.fill(conference(1, noon))
	p.laneState(h, nil)
}

// laneStateLost: the state is part of the picture, and its loss is detected.
func laneStateLost(t *testing.T, h Harness) {
	for what, lose := range map[string]func(*process){
		"emptied":     func(*process) { h.Empty(t) },
		"rolled back": nil,
	} {
		h.Empty(t)
		p := filled(t, h, 1, conference(1, noon))
		rollBack := h.Snapshot(t)
		p.at.Sequence++
		p.note(p.at, []byte("state"))
		if lose == nil {
			rollBack()
		} else {
			lose(p)
		}
		_, err := p.store.LaneState(p.ctx(), 0)
		wantErr(t, "state of a lane that was "+what, err, projections.ErrLost)
	}
}
