package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gavel/projections"
)

// floor is two weeks of a call center: conferences of every status and some
// names, a few of them across midnights.
func floor(n int) []*projections.Conference {
	rnd := rand.New(rand.NewPCG(1, 2))
	names := []string{"Support", "Sales", "", "Support ", strings.Repeat("long ", 40) + "a", strings.Repeat("long ", 40) + "b"}
	var out []*projections.Conference
	for i := range n {
		c := named(conference(i, noon+projections.Instant(rnd.IntN(14*oneDay))), names[rnd.IntN(len(names))])
		c.Updated = c.Created + projections.Instant(rnd.IntN(3*hour))
		switch rnd.IntN(6) {
		case 0:
		case 1, 2:
			c = started(c)
		default:
			c = ended(c, c.Updated)
		}
		if rnd.IntN(20) == 0 {
			c.Updated += projections.Instant(rnd.IntN(4 * oneDay))
		}
		out = append(out, c)
	}
	return out
}

// queries are every filter alone and in combination.
func queries() []projections.Query {
	support, long, absent := "Support", strings.Repeat("long ", 40)+"b", "absent"
	var out []projections.Query
	for _, name := range []*string{nil, &support, &long, new(string), &absent} {
		for _, status := range []string{"", projections.StatusInit, projections.StatusInProgress, projections.StatusCompleted, "none"} {
			for _, times := range spans() {
				out = append(out, projections.Query{
					FriendlyName: name, Status: status, Created: times[0], Updated: times[1], Limit: 1000,
				})
			}
		}
	}
	return out
}

// spans are pairs for Created and Updated: each alone, and some of both.
func spans() [][2]projections.Span {
	day := noon - 12*hour + 3*oneDay
	out := [][2]projections.Span{{}}
	for _, s := range []projections.Span{
		{From: day, To: day + oneDay - 1},
		{From: day},
		{To: day + 5*hour},
		{From: day + 20*oneDay},
		{From: day + 2, To: day + 1},
	} {
		out = append(out, [2]projections.Span{s, {}}, [2]projections.Span{{}, s}, [2]projections.Span{s, s})
	}
	week := projections.Span{From: day - 2*oneDay, To: day + 3*oneDay}
	return append(out,
		[2]projections.Span{week, {From: day + 3*hour}},
		[2]projections.Span{{To: day}, {From: day, To: day + oneDay}},
		[2]projections.Span{{From: day}, {To: day + oneDay}})
}

// wanted checks each record on its own, which defines what a filter means.
func wanted(records []*projections.Conference, q projections.Query) []string {
	var out []*projections.Conference
	for _, c := range records {
		if (q.FriendlyName == nil || *q.FriendlyName == c.FriendlyName.Value) &&
			(q.Status == "" || q.Status == c.Status()) &&
			q.Created.Contains(c.Created) && q.Updated.Contains(c.Updated) {
			out = append(out, c)
		}
	}
	newestFirst(out)
	return sids(out)
}

// filters runs every query on a picture that was filled, and again after saves
// changed records: name, status, creation and update.
func filters(t *testing.T, h Harness) {
	records := floor(400)
	p := filled(t, h, 2, records...)
	p.finds(records)

	rnd := rand.New(rand.NewPCG(3, 4))
	for i, c := range records {
		switch rnd.IntN(5) {
		case 0:
			c = named(c, "Sales")
		case 1:
			c = with(c, func(c *projections.Conference) { c.Created -= projections.Instant(rnd.IntN(2 * oneDay)) })
		case 2:
			c = with(c, func(c *projections.Conference) { c.Updated += projections.Instant(rnd.IntN(2 * oneDay)) })
		case 3:
			c = ended(c, c.Updated+hour)
		}
		records[i] = c
	}
	p.save(records...)
	p.finds(records)
}

// finds checks the result of every query.
func (p *process) finds(records []*projections.Conference) {
	p.t.Helper()
	for _, q := range queries() {
		got, want := p.list(account(1), q), wanted(records, q)
		if !slices.Equal(got, want) {
			p.t.Fatalf("%s: %d found, want %d", show(q), len(got), len(want))
		}
	}
}

func show(q projections.Query) string {
	name := "any"
	if q.FriendlyName != nil {
		name = *q.FriendlyName
	}
	return fmt.Sprintf("name %.12q, status %q, created %v, updated %v", name, q.Status, q.Created, q.Updated)
}

// pagesStay reads 2,500 conferences from the newest to the oldest and back,
// while new ones arrive and others end.
func pagesStay(t *testing.T, h Harness) {
	var records []*projections.Conference
	for n := range 2500 {
		records = append(records, conference(n, noon+projections.Instant(n/3)))
	}
	p := filled(t, h, 2, records...)
	next := len(records)
	meanwhile := func() {
		i := next * 7 % 2500
		records[i] = ended(records[i], noon+oneDay)
		p.save(conference(next, noon+hour), records[i])
		next++
	}

	newestFirst(records)
	want := sids(records)
	down := p.walk(projections.Query{Limit: 73}, meanwhile)
	p.same(down, want)

	// The way back also returns those that arrived, last of all.
	up := p.walk(projections.Query{Limit: 73, Before: want[len(want)-1]}, meanwhile)
	slices.Reverse(up)
	want = want[:len(want)-1]
	arrived := len(up) - len(want)
	p.same(arrived > 30, true)
	p.same(up[max(arrived, 0):], want)
}

// walk reads page after page in one direction and returns the SIDs.
func (p *process) walk(q projections.Query, meanwhile func()) []string {
	p.t.Helper()
	var out []string
	for {
		page, err := p.store.Conferences(p.ctx(), account(1), q)
		p.must(err, "list")
		found := sids(page.Conferences)
		if len(found) == 0 {
			p.t.Fatal("an empty page in the middle of a list")
		}
		if q.Before != "" {
			q.Before = found[0]
			slices.Reverse(found)
		} else {
			q.After = found[len(found)-1]
		}
		out = append(out, found...)
		if !page.More {
			return out
		}
		meanwhile()
	}
}

// pagesOfFilters reads the pages of filtered lists, in both directions.
func pagesOfFilters(t *testing.T, h Harness) {
	records := floor(300)
	p := filled(t, h, 1, records...)
	for i, q := range queries() {
		want := wanted(records, q)
		onlyTimes := q.FriendlyName == nil && q.Status == ""
		if len(want) < 2 || !onlyTimes && i%9 != 0 {
			continue
		}
		q.Limit = 1 + len(want)/3
		p.same(p.walk(q, func() {}), want)
		q.Before = want[len(want)-1]
		up := p.walk(q, func() {})
		slices.Reverse(up)
		p.same(up, want[:len(want)-1])
	}
}

func oneSecond(t *testing.T, h Harness) {
	var records []*projections.Conference
	for n := range 1500 {
		records = append(records, conference(n, noon))
	}
	p := filled(t, h, 1, records...)
	newestFirst(records)
	p.same(p.walk(projections.Query{Limit: 400}, func() {}), sids(records))
	name := "Support"
	p.same(p.walk(projections.Query{Limit: 60, FriendlyName: &name, Status: projections.StatusInit}, func() {}), sids(records))
}

func badPage(t *testing.T, h Harness) {
	c := conference(1, noon)
	p := filled(t, h, 1, c, conference(2, noon))
	for _, q := range []projections.Query{
		{After: conference(3, noon).ConferenceSid},
		{Before: "all"},
		{After: c.ConferenceSid, Before: c.ConferenceSid},
	} {
		_, err := p.store.Conferences(p.ctx(), account(1), q)
		wantErr(t, "list after an item that does not exist", err, projections.ErrBadPage)
	}
	_, err := p.store.Conferences(p.ctx(), account(2), projections.Query{After: c.ConferenceSid})
	wantErr(t, "list after an item of another account", err, projections.ErrBadPage)

	page, err := p.store.Conferences(p.ctx(), account(1), projections.Query{Before: conference(2, noon).ConferenceSid, Limit: 5})
	p.must(err, "list before the newest")
	p.same(page.More, false)
	p.same(len(page.Conferences), 0)
}

func accounts(t *testing.T, h Harness) {
	p := filled(t, h, 2)
	p.shows()
	var records []*projections.Conference
	for n := range 30 {
		records = append(records, with(conference(n, noon), func(c *projections.Conference) {
			c.AccountSid = account(n % 3)
		}))
	}
	p.save(records...)
	p.shows(records...)
}
