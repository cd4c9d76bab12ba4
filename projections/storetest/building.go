package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"gavel/events"
	"gavel/projections"
)

func buildBesideLive(t *testing.T, h Harness) {
	c, d := conference(1, noon), conference(2, noon)
	p := filled(t, h, 1, c)
	reader := open(t, h, 1)
	reader.shows(c)

	b := p.build(0)
	p.must(b.Put(p.ctx(), []projections.Write{
		{After: named(c, "Rebuilt"), Book: projections.Book{Version: 7, Applied: p.at}},
	}), "put")
	p.save(started(c), d)
	reader.shows(started(c), d)

	p.at.Sequence++
	p.must(b.Commit(p.ctx(), p.at, nil), "commit")
	reader.shows(named(c, "Rebuilt"))
	_, err := reader.store.Conference(p.ctx(), keyOf(d))
	wantErr(t, "read of what is only in the old picture", err, projections.ErrNotFound)

	p.load(c)
	p.same(p.known[keyOf(c)].Book.Version, uint64(7))
	p.save(ended(c, noon))
	reader.shows(ended(c, noon))
}

// buildChanges puts records twice, as a fill does that cannot hold all conferences in memory.
func buildChanges(t *testing.T, h Harness) {
	c, d := conference(1, noon), conference(2, noon)
	p := filled(t, h, 1, named(c, "Old"))
	b := p.build(0)
	p.must(b.Put(p.ctx(), p.firsts([]*projections.Conference{c, d})), "put")
	p.must(b.Put(p.ctx(), p.writes([]*projections.Conference{ended(c, noon+minute)})), "put again")
	absent := conference(3, noon)
	got, err := b.Load(p.ctx(), []events.Key{keyOf(c), keyOf(absent), keyOf(d)})
	p.must(err, "load from a build")
	p.same(got[0].Conference, ended(c, noon+minute))
	p.same(got[0].Book.Version, uint64(2))
	p.same(got[1], projections.Stored{})
	p.same(got[2].Conference, d)
	p.shows(named(c, "Old"))

	p.must(b.Commit(p.ctx(), p.at, nil), "commit")
	p.shows(ended(c, noon+minute), d)
	p.same(p.list(account(1), projections.Query{Status: projections.StatusInit, Limit: 10}), sids([]*projections.Conference{d}))
	p.same(p.list(account(1), projections.Query{Status: projections.StatusCompleted, Limit: 10}), sids([]*projections.Conference{c}))
}

// buildExpires removes all conferences of one account and some of another.
func buildExpires(t *testing.T, h Harness) {
	old, kept := conference(1, noon), conference(2, noon+hour)
	gone := with(conference(3, noon), func(c *projections.Conference) { c.AccountSid = account(2) })
	p := open(t, h, 1)
	b := p.build(0)
	p.must(b.Put(p.ctx(), p.firsts([]*projections.Conference{old, kept, gone})), "put")
	removed, err := b.Expire(p.ctx(), (noon + minute).Time())
	p.must(err, "expire in a build")
	p.same(removed, 2)
	p.must(b.Put(p.ctx(), p.writes([]*projections.Conference{started(kept)})), "put after an expiry")
	p.must(b.Commit(p.ctx(), p.at, nil), "commit")
	p.check(0)
	p.shows(started(kept))
}

func abandoned(t *testing.T, h Harness) {
	c := conference(1, noon)
	p := filled(t, h, 1, c)
	b := p.build(0)
	p.must(b.Put(p.ctx(), p.firsts([]*projections.Conference{conference(2, noon)})), "put")
	p.must(b.Abandon(p.ctx()), "abandon")
	wantErr(t, "commit of an abandoned build", b.Commit(p.ctx(), p.at, nil), projections.ErrLost)
	p.save(started(c))
	p.shows(started(c))

	// Abandon after a Commit whose answer was lost must not harm the committed picture.
	b = p.build(0)
	p.must(b.Put(p.ctx(), p.firsts([]*projections.Conference{c})), "put")
	p.must(b.Commit(p.ctx(), p.at, nil), "commit")
	p.must(b.Abandon(p.ctx()), "abandon after commit")
	p.check(0)
	p.shows(c)
}

func newerBuild(t *testing.T, h Harness) {
	c := conference(1, noon)
	p := filled(t, h, 1, c)
	older, newer := p.build(0), open(t, h, 1).build(0)
	p.must(newer.Put(p.ctx(), p.firsts([]*projections.Conference{named(c, "Newer")})), "put")
	wantErr(t, "commit of the older build", older.Commit(p.ctx(), p.at, nil), projections.ErrLost)
	p.must(newer.Commit(p.ctx(), p.at, nil), "commit of the newer build")
	p.shows(named(c, "Newer"))
}

// buildLost loses the data of a build: once Redis is emptied, once it is rolled
// back to a part of the build.
func buildLost(t *testing.T, h Harness) {
	p := open(t, h, 1)
	var records []*projections.Conference
	for n := range 1500 {
		records = append(records, conference(n, noon))
	}
	first, second, third := p.firsts(records[:500]), p.firsts(records[500:1000]), p.firsts(records[1000:])

	b := p.build(0)
	p.must(b.Put(p.ctx(), first), "put")
	h.Empty(t)
	wantErr(t, "commit of a build that was emptied", b.Commit(p.ctx(), p.at, nil), projections.ErrLost)

	b = p.build(0)
	p.must(b.Put(p.ctx(), first), "put")
	rollBack := h.Snapshot(t)
	p.must(b.Put(p.ctx(), second), "put")
	rollBack()
	err := b.Put(p.ctx(), third)
	wantErr(t, "commit of a build that was rolled back", errors.Join(err, b.Commit(p.ctx(), p.at, nil)), projections.ErrLost)
	p.unreadable("while no build succeeded", projections.ErrFilling)
}

// readersDuringRebuilds reads while the picture is written and replaced
// repeatedly: a record that always exists is never missing.
func readersDuringRebuilds(t *testing.T, h Harness) {
	var records []*projections.Conference
	for n := range 30 {
		records = append(records, conference(n, noon))
	}
	p := filled(t, h, 2, records...)
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 3 {
		r := open(t, h, 2)
		readers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				r.reads(ctx, records, n)
			}
		})
	}
	for range 12 {
		p.fill(records...)
		p.save(started(records[3]), started(records[4]))
	}
	stop()
	readers.Wait()
}

func (p *process) reads(ctx context.Context, records []*projections.Conference, n int) {
	if _, err := p.store.Conference(ctx, keyOf(records[n%len(records)])); err != nil && ctx.Err() == nil {
		p.t.Errorf("read during a rebuild: %v", err)
	}
	page, err := p.store.Conferences(ctx, account(1), projections.Query{Limit: 100})
	if ctx.Err() != nil {
		return
	}
	if err != nil || len(page.Conferences) != len(records) {
		p.t.Errorf("list during a rebuild: %d of %d, %v", len(page.Conferences), len(records), err)
	}
}
