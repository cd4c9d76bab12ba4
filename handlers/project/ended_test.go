package project

import (
	"fmt"
	"testing"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"gavel/events"
	"gavel/lanes"
	"gavel/projections"
)

// White box: how many conferences a lane keeps shows only in its memory.
func TestEndedConferencesLeaveTheMemoryOnceTheyArePublished(t *testing.T) {
	t.Parallel()
	cache, err := simplelru.NewLRU[events.Key, *cached](100, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := endings{most: 3}
	key := func(n int) events.Key { return events.Key{AccountSid: "AC", ConferenceSid: fmt.Sprint(n)} }
	entry := func(n int, at uint64, status string) {
		c, ok := cache.Get(key(n))
		if !ok {
			c = new(cached)
			cache.Add(key(n), c)
		}
		c.Conference = lanes.Conference{Record: conferenceIn(status)}
		e.note(key(n), c, at)
	}
	held := func() (all []int) {
		for n := range 20 {
			if cache.Contains(key(n)) {
				all = append(all, n)
			}
		}
		return all
	}
	want := func(when string, want ...int) {
		t.Helper()
		if got := held(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v are kept, want %v", when, got, want)
		}
	}
	entry(0, 1, projections.StatusInProgress)
	for n := 1; n <= 6; n++ {
		entry(n, uint64(n), projections.StatusCompleted)
	}
	e.release(cache, 0)
	want("before anything is published", 0, 1, 2, 3, 4, 5, 6)
	entry(2, 7, projections.StatusCompleted) // a late callback
	e.release(cache, 6)
	want("with three more than the bound, one of them with a late callback", 0, 2, 5, 6)
	entry(5, 8, projections.StatusInProgress) // it goes on
	for n := 7; n <= 9; n++ {
		entry(n, uint64(n+2), projections.StatusCompleted)
	}
	e.release(cache, 20)
	want("when three others have ended", 0, 5, 7, 8, 9)
}

// conferenceIn returns a record with a status.
func conferenceIn(status string) *projections.Conference {
	c := new(projections.Conference)
	if status == projections.StatusCompleted {
		c.End = new(projections.Ending)
	}
	return c
}
