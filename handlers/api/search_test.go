package api_test

import (
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/handlers/api"
	"gavel/projections"
)

// twoFloors are conferences of two accounts, created in turn, some in the same second.
func twoFloors(each int) (all []*projections.Conference) {
	for n := range each {
		created := at("09:00:00") + projections.Instant(n/2)
		all = append(all, room(account, 2*n+1, "sales", created), room(other, 2*n+2, "support", created))
	}
	return all
}

func numbers(page api.Conferences) (ids []int) {
	for _, c := range page.Conferences {
		n, _ := strconv.ParseInt(c.Sid[2:], 16, 64)
		ids = append(ids, int(n))
	}
	return ids
}

func TestSearchMergesAccountsPageByPage(t *testing.T) {
	t.Parallel()
	s := start(t, twoFloors(60))
	var got []int
	for cursor, pages := "", 0; ; pages++ {
		page := read[api.Conferences](t, s.get("conferences?limit=7"+cursor))
		got = append(got, numbers(page)...)
		if page.Next == "" {
			if pages != 17 {
				t.Errorf("%d full pages, want 17", pages)
			}
			break
		}
		if len(page.Conferences) != 7 {
			t.Fatalf("a page in the middle holds %d", len(page.Conferences))
		}
		cursor = "&cursor=" + page.Next
	}
	want := make([]int, 120)
	for i := range want {
		want[i] = 120 - i
	}
	// Within a second the order is by SID alone.
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// One account may have all the newest.
func TestSearchReadsOnWhereOneAccountHasMore(t *testing.T) {
	t.Parallel()
	all := []*projections.Conference{room(other, 1, "quiet", at("08:00:00"))}
	for n := 2; n <= 70; n++ {
		all = append(all, room(account, n, "busy", at("09:00:00")+projections.Instant(n)))
	}
	got := numbers(read[api.Conferences](t, start(t, all).get("conferences?limit=100")))
	if len(got) != 70 || got[0] != 70 || got[69] != 1 {
		t.Errorf("%d: %v", len(got), got)
	}
}

func TestSearchFilters(t *testing.T) {
	t.Parallel()
	s := start(t, []*projections.Conference{
		room(account, 1, "sales", at("09:00:00")),
		completed(room(account, 2, "sales", at("10:00:00"))),
		room(other, 3, "support & co", at("11:00:00")),
	})
	for query, want := range map[string][]int{
		"":                                        {3, 2, 1},
		"?status=completed":                       {2},
		"?status=in-progress":                     {3, 1},
		"?friendly_name=sales":                    {2, 1},
		"?friendly_name=support+%26+co":           {3},
		"?account=" + other:                       {3},
		"?created_from=2026-08-03T10:00:00Z":      {3, 2},
		"?created_to=2026-08-03T12:00:00%2B02:00": {2, 1},
		"?created_from=2026-08-03T09:30:00Z&created_to=2026-08-03T10:30:00Z": {2},
		"?status=completed&account=" + other:                                 nil,
		"?limit=1":                                                           {3},
	} {
		if got := numbers(read[api.Conferences](t, s.get("conferences"+query))); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
}

func TestSearchShowsWhatTheKeyMaySee(t *testing.T) {
	t.Parallel()
	s := start(t, twoFloors(1))
	for name, c := range map[string]struct {
		who    credentials
		query  string
		status int
		want   []int
	}{
		"all":                    {s.all, "", 200, []int{2, 1}},
		"one account":            {s.key(account), "", 200, []int{1}},
		"both":                   {s.key(account, other), "", 200, []int{2, 1}},
		"the account's token":    {credentials{account, token}, "", 200, []int{1}},
		"none of these":          {s.key(foreign), "", 200, nil},
		"a foreign account":      {s.key(account), "?account=" + other, 404, nil},
		"what is no account":     {s.all, "?account=CF", 404, nil},
		"an account in capitals": {s.key(account), "?account=" + "ac0123456789ABCDEF0123456789abcdef", 200, []int{1}},
	} {
		a := s.as(c.who, http.MethodGet, "conferences"+c.query, "")
		if a.status != c.status {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		} else if a.status == 200 && !slices.Equal(numbers(read[api.Conferences](t, a)), c.want) {
			t.Errorf("%s: %s", name, a.body)
		}
	}
}

func TestSearchRefusesWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for query, want := range map[string]int{
		"limit=0": 422, "limit=201": 422, "limit=x": 422, "status=ended": 422, "created_from=today": 422, "colour=red": 422,
		"cursor=1": 400, "cursor=x." + sid("CF", 1): 400, "cursor=1.CA": 400,
	} {
		if a := s.get("conferences?" + query); a.status != want || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s %s", query, a.status, a.header.Get("Content-Type"), a.body)
		}
	}
}
