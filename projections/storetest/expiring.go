package storetest

import (
	"testing"

	"gavel/projections"
)

func expire(t *testing.T, h Harness) {
	const old, cutoff = noon - 40*oneDay, noon - 30*oneDay
	endedLongAgo := ended(conference(1, old), old+hour)
	silentLongAgo := started(conference(2, old))
	endedLately := ended(conference(3, old), noon)
	updatedLately := with(conference(4, old), func(c *projections.Conference) { c.Updated = noon })
	recordedLately := with(ended(conference(5, old), old+hour), func(c *projections.Conference) { c.Updated = noon })
	startedLately := conference(6, noon)
	neverTimed := conference(7, 0)
	otherAccount := with(ended(conference(8, old), old+hour), func(c *projections.Conference) { c.AccountSid = account(2) })

	p := filled(t, h, 1, endedLately, updatedLately, neverTimed, otherAccount)
	p.save(endedLongAgo, silentLongAgo, recordedLately, startedLately) // their last event arrives at Updated
	var crowd []*projections.Conference
	for n := 100; n < 800; n++ {
		crowd = append(crowd, ended(conference(n, old), old+hour))
	}
	p.save(crowd...)

	removed, err := p.store.Expire(p.ctx(), 0, cutoff.Time())
	p.must(err, "expire")
	p.same(removed, 3+len(crowd))
	stay := []*projections.Conference{endedLately, updatedLately, recordedLately, startedLately, neverTimed}
	p.shows(stay...)
	p.finds(stay)

	removed, err = p.store.Expire(p.ctx(), 0, cutoff.Time())
	p.must(err, "expire again")
	p.same(removed, 0)

	wantErr(t, "save over an expired record", p.trySave(named(silentLongAgo, "Back")), projections.ErrConflict)
	p.load(silentLongAgo, otherAccount)
	p.save(silentLongAgo, otherAccount)
	p.shows(append(stay, silentLongAgo, otherAccount)...)
}
