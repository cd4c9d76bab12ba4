package rest_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/projections"
)

func TestFiltersSelectConferences(t *testing.T) {
	t.Parallel()
	s := start(t,
		completed(room(1, "sales", at("02-28 23:59:59")), at("03-01 00:10:00")),
		completed(room(2, "support", at("03-01 00:00:00")), at("03-01 00:20:00")),
		completed(room(3, "room 1 a&b+c", at("03-01 23:59:59")), at("03-02 00:00:00")),
		room(4, "sales", at("03-02 00:00:00")),
		&projections.Conference{AccountSid: account, ConferenceSid: sid("CF", 5), Created: at("03-02 12:00:00"), Updated: at("03-02 12:00:00")},
	)
	for query, want := range map[string][]int{
		"":                                    {5, 4, 3, 2, 1},
		"Status=completed":                    {3, 2, 1},
		"Status=in-progress":                  {4},
		"Status=init":                         {5},
		"Status=":                             {5, 4, 3, 2, 1},
		"FriendlyName=sales":                  {4, 1},
		"FriendlyName=Sales":                  nil,
		"FriendlyName=room%201%20a%26b%2Bc":   {3},
		"FriendlyName=room+1+a%26b%2Bc":       {3},
		"FriendlyName=sales&Status=completed": {1},
		"DateCreated=2026-03-01":              {3, 2},
		"DateCreated%3E=2026-03-01":           {5, 4, 3, 2},
		"DateCreated>=2026-03-01":             {5, 4, 3, 2},
		"DateCreated%3C=2026-03-01":           {2, 1},
		"DateCreated<=2026-03-01":             {2, 1},
		"DateCreated%3C=2026-03-02":           {4, 3, 2, 1},
		"DateCreated=%3E%3D2026-03-02":        {5, 4},
		"DateCreated=>=2026-03-01&DateCreated=<=2026-03-02": {4, 3, 2},
		"DateCreated>=2026-03-01&DateCreated<=2026-03-02":   {4, 3, 2},
		"DateCreated=>=2026-03-02&DateCreated>=2026-03-01":  {5, 4},
		"DateCreated=>=2026-03-01&DateCreated>=2026-03-02":  {5, 4},
		"DateCreated>=2026-03-03":                           nil,
		"DateCreated<=1970-01-01":                           nil,
		"DateUpdated=2026-03-01":                            {2, 1},
		"DateUpdated>=2026-03-02":                           {5, 4, 3},
		"DateUpdated<=2026-03-02":                           {3, 2, 1},
		"DateCreated=2026-03-01&DateUpdated>=2026-03-02":    {3},
		"Unknown=1": {5, 4, 3, 2, 1},
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			s := stack{TB: t, server: s.server}
			if diff := cmp.Diff(want, s.list("/Conferences.json?"+query).ids()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Twilio lists conferences in progress unless the query names a status, since 2026-09-30. The setting
// rest.list_default makes Gavel do the same.
func TestTheListMayShowConferencesInProgressByDefault(t *testing.T) {
	t.Parallel()
	s := start(t, completed(room(1, "over", at("03-01 10:00:00")), at("03-01 10:10:00")), room(2, "live", at("03-02 10:00:00")), room(3, "live", at("03-03 10:00:00")))
	s.config.ListDefault = projections.StatusInProgress
	s.serve(s.store)
	first := s.list("/Conferences.json?PageSize=1")
	if first.Next == nil {
		t.Fatal("the list has one page")
	}
	second := s.list(*first.Next)
	if got := append(first.ids(), second.ids()...); !slices.Equal(got, []int{3, 2}) || second.Next != nil {
		t.Errorf("without a status: %v, next page %v", got, second.Next)
	}
	if got := s.list("/Conferences.json?Status=completed").ids(); !slices.Equal(got, []int{1}) {
		t.Errorf("completed: %v", got)
	}
}

func TestTheEnvelopeHasTwiliosForm(t *testing.T) {
	t.Parallel()
	s := start(t, room(1, "a", at("08-01 10:00:00")), room(2, "b", at("08-01 11:00:00")), room(3, "c", at("08-01 12:00:00")))
	base := "/2010-04-01/Accounts/" + account + "/Conferences.json?Status=in-progress&DateCreated%3E=2026-08-01&PageSize=1&Page="
	two := s.list("/Conferences.json?PageSize=1&DateCreated>=2026-08-01&Page=1&Status=in-progress&PageToken=PA" + sid("CF", 3))

	next, previous := base+"2&PageToken=PA"+sid("CF", 2), base+"0&PageToken=PB"+sid("CF", 2)
	want := page{
		Conferences: two.Conferences, Start: 1, End: 1, Page: 1, PageSize: 1,
		First: base + "0", Next: &next, Previous: &previous, URI: base + "1&PageToken=PA" + sid("CF", 3),
	}
	if diff := cmp.Diff(want, two); diff != "" || !slices.Equal(two.ids(), []int{2}) {
		t.Errorf("page two holds %v (-want +got):\n%s", two.ids(), diff)
	}

	empty := s.get("/Conferences.json?FriendlyName=none+such").body
	uri := "/2010-04-01/Accounts/" + account + `/Conferences.json?FriendlyName=none+such&PageSize=50&Page=0`
	if want := `{"conferences":[],"end":0,"first_page_uri":"` + uri + `","next_page_uri":null,"page":0,"page_size":50,` +
		`"previous_page_uri":null,"start":0,"uri":"` + uri + `"}`; empty != want {
		t.Errorf("an empty list is\n%s, want\n%s", empty, want)
	}
}

// A client reads page by page while new conferences keep arriving.
func TestNewConferencesDoNotShiftPages(t *testing.T) {
	t.Parallel()
	var floor []*projections.Conference
	for n := 1; n <= 7; n++ {
		floor = append(floor, room(n, "floor", at("08-01 10:00:00")+projections.Instant(n/3))) // some in one second
	}
	s := start(t, floor...)
	var forth []int
	p := s.list("/Conferences.json?PageSize=3")
	for n := 100; ; n++ {
		forth = append(forth, p.ids()...)
		s.arrive(room(n, "floor", at("08-01 11:00:00")))
		if p.Next == nil {
			break
		}
		p = s.list(*p.Next)
	}
	if want := []int{7, 6, 5, 4, 3, 2, 1}; !slices.Equal(forth, want) {
		t.Errorf("forth: %v, want %v", forth, want)
	}
	if p.Start != 6 || p.End != 6 || p.Page != 2 {
		t.Errorf("the last page has start %d, end %d, page %d", p.Start, p.End, p.Page)
	}
	var back [][]int
	for p.Previous != nil {
		p = s.list(*p.Previous)
		back = append(back, p.ids())
		if p.Next == nil {
			t.Error("a page reached backwards has no next page")
		}
	}
	if want := [][]int{{4, 3, 2}, {7, 6, 5}, {102, 101, 100}}; !cmp.Equal(back, want) {
		t.Errorf("back: %v, want %v", back, want)
	}
}

func TestThePageSizeIsBounded(t *testing.T) {
	t.Parallel()
	s := start(t)
	for size, want := range map[string]int{"1": 1, "1000": 1000, "1001": 1000, "999999": 1000, "": 50} {
		if got := s.list("/Conferences.json?PageSize=" + size).PageSize; got != want {
			t.Errorf("PageSize=%s returns %d, want %d", size, got, want)
		}
	}
}

// Half of the participants have left; the labels are typical ones.
func floorRoom() *projections.Conference {
	return room(1, "floor", at("08-01 10:00:00"),
		leg(1, "agent|user-1|nonce", at("08-01 10:00:01"), projections.Flags{Muted: true}),
		leg(2, "müller & söhne 100%", at("08-01 10:00:02"), projections.Flags{Hold: true}),
		gone(leg(3, "customer", at("08-01 10:00:03"), projections.Flags{Muted: true})),
		leg(4, "coach+1", at("08-01 10:00:04"), projections.Flags{Coaching: true, Muted: true}),
		gone(leg(5, "gone for good", at("08-01 10:00:05"), projections.Flags{})),
		leg(6, "customer", at("08-01 10:00:06"), projections.Flags{}),
	)
}

func TestFiltersSelectParticipants(t *testing.T) {
	t.Parallel()
	s := start(t, floorRoom(), completed(room(2, "over", at("08-01 09:00:00"), leg(9, "", at("08-01 09:00:00"), projections.Flags{})), at("08-01 09:10:00")))
	for query, want := range map[string][]int{
		"1/Participants.json":                              {6, 4, 2, 1},
		"1/Participants.json?Muted=true":                   {4, 1},
		"1/Participants.json?Muted=True":                   {4, 1}, // Twilio's Python client
		"1/Participants?Muted=FALSE":                       {6, 2},
		"1/Participants.json?Muted=false":                  {6, 2},
		"1/Participants.json?Hold=true":                    {2},
		"1/Participants.json?Coaching=true&Muted=true":     {4},
		"1/Participants.json?GavelHistory=true":            {6, 5, 4, 3, 2, 1},
		"1/Participants.json?GavelHistory=true&Muted=true": {4, 3, 1},
		"1/Participants.json?GavelHistory=false":           {6, 4, 2, 1},
		"2/Participants.json":                              nil,
		"2/Participants.json?GavelHistory=true":            {9},
	} {
		if diff := cmp.Diff(want, s.list("/Conferences/CF"+strings.Repeat("0", 31)+query).ids()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

// The item in a page token may leave between two pages.
func TestAPageTokenIsValidAfterItsParticipantLeft(t *testing.T) {
	t.Parallel()
	s := start(t, floorRoom())
	list := "/Conferences/" + sid("CF", 1) + "/Participants.json"
	first := s.list(list + "?PageSize=2&GavelHistory=true")
	if first.Next == nil || !strings.HasSuffix(*first.Next, "?GavelHistory=true&PageSize=2&Page=1&PageToken=PA"+sid("CA", 5)) {
		t.Fatalf("next is %v", first.Next)
	}
	second := s.list(list + "?PageSize=2&PageToken=PA" + sid("CA", 5))
	if !slices.Equal(second.ids(), []int{4, 2}) {
		t.Errorf("after a participant that left: %v", second.ids())
	}
	if back := s.list(*second.Previous); !slices.Equal(back.ids(), []int{6}) || back.Previous != nil {
		t.Errorf("back: %v, previous %v", back.ids(), back.Previous)
	}
	near := s.list(list + "?PageSize=1&Page=9&PageToken=PB" + sid("CA", 2))
	if !slices.Equal(near.ids(), []int{4}) || near.Previous == nil || near.Next == nil {
		t.Errorf("one back: %v, previous %v, next %v", near.ids(), near.Previous, near.Next)
	}
}

func TestParticipantByCallSidOrLabel(t *testing.T) {
	t.Parallel()
	s := start(t, floorRoom())
	for path, want := range map[string]string{
		sid("CA", 2): sid("CA", 2),
		strings.ToLower(sid("CA", 10))[:33] + "2": sid("CA", 2),
		"agent%7Cuser-1%7Cnonce":                  sid("CA", 1),
		"agent|user-1|nonce":                      sid("CA", 1),
		"m%C3%BCller%20%26%20s%C3%B6hne%20100%25": sid("CA", 2),
		"coach+1":           sid("CA", 4),
		"coach%2B1":         sid("CA", 4),
		"customer":          sid("CA", 6), // two had it, one is live
		"gone%20for%20good": "",
		"gone%20for%20good.json?GavelHistory=true&": sid("CA", 5),
		sid("CA", 3): "",
		sid("CA", 3) + ".json?GavelHistory=true&": sid("CA", 3),
		"coach%201": "",
		"none":      "",
		"a%2Fb":     "",
	} {
		a := s.get("/Conferences/" + sid("CF", 1) + "/Participants/" + path + ".json")
		found := a.status == http.StatusOK && strings.Contains(a.body, `"call_sid":"`+want+`"`)
		if missing := a.status == http.StatusNotFound; want == "" && !missing || want != "" && !found {
			t.Errorf("%s: %d %s, want %q", path, a.status, a.body, want)
		}
	}
}

func TestRecordingsAreListedOnceEach(t *testing.T) {
	t.Parallel()
	c := room(1, "floor", at("08-01 23:00:00"))
	c.Recordings = []*projections.Recording{
		{URL: "https://api.twilio.com/2010-04-01/Accounts/AC/Recordings/" + sid("RE", 3), Duration: 6}, // also described by a callback
		{URL: "https://example.com/mix.wav", Duration: 7},
		recording(1, at("08-01 23:00:10")),
		recording(2, at("08-02 00:00:00")),
		recording(3, at("08-02 00:10:00")),
	}
	s := start(t, c)
	base := "/Conferences/" + sid("CF", 1) + "/Recordings"
	for query, want := range map[string][]int{
		"":                         {3, 2, 1},
		"?DateCreated=2026-08-01":  {1},
		"?DateCreated>=2026-08-02": {3, 2},
		"?DateCreated<=2026-08-02": {2, 1},
		"?PageSize=1&PageToken=PA" + sid("RE", 3): {2},
	} {
		if diff := cmp.Diff(want, s.list(base+".json"+query).ids()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	if a := s.get(base + "/" + sid("RE", 3) + ".json"); a.status != http.StatusOK || !strings.Contains(a.body, `"duration":"116"`) {
		t.Errorf("one: %d %s", a.status, a.body)
	}
	for _, none := range []string{sid("RE", 9), "Twilio.CURRENT", sid("CA", 1)} {
		if a := s.get(base + "/" + none + ".json"); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", none, a.status)
		}
	}
}
