package storetest

import (
	"testing"

	"gavel/projections"
)

func expire(t *testing.T, h Harness) {
	const old, cutoff = noon - 40*oneDay, noon - 30*oneDay
	endedLongAgo := ended(conference(1, old), old+hour)
	diedLongAgo := started(conference(2, old))
	endedLately := ended(conference(3, old), noon)
	toldLately := with(conference(4, old), func(c *projections.Conference) { c.Updated = noon })
	recordedLately := with(ended(conference(5, old), old+hour), func(c *projections.Conference) { c.Updated = noon })
	begunLately := conference(6, noon)
	neverTimed := conference(7, 0)
	otherAccount := with(ended(conference(8, old), old+hour), func(c *projections.Conference) { c.AccountSid = account(2) })

	p := filled(t, h, 1, endedLately, toldLately, neverTimed, otherAccount)
	p.save(endedLongAgo, diedLongAgo, recordedLately, begunLately) // heard of when Updated says
	var crowd []*projections.Conference
	for n := 100; n < 800; n++ {
		crowd = append(crowd, ended(conference(n, old), old+hour))
	}
	p.save(crowd...)

	removed, err := p.store.Expire(p.ctx(), 0, cutoff.Time())
	p.must(err, "expire")
	p.same(removed, 3+len(crowd))
	stay := []*projections.Conference{endedLately, toldLately, recordedLately, begunLately, neverTimed}
	p.shows(stay...)
	p.finds(stay)

	removed, err = p.store.Expire(p.ctx(), 0, cutoff.Time())
	p.must(err, "expire again")
	p.same(removed, 0)

	wantErr(t, "save over a forgotten record", p.trySave(named(diedLongAgo, "Back")), projections.ErrConflict)
	p.load(diedLongAgo, otherAccount)
	p.save(diedLongAgo, otherAccount)
	p.shows(append(stay, diedLongAgo, otherAccount)...)
}
