package twiliofake_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/internal/twilio/twiliofake"
)

// exchange is a running fake with its REST API and the requests it sent.
type exchange struct {
	*twiliofake.Twilio
	*receiver

	t    *testing.T
	http *httptest.Server
}

// opens starts a fake with an empty floor and a clock that does not wait.
func opens(t *testing.T, change func(*twiliofake.Config)) *exchange {
	t.Helper()
	x := &exchange{t: t, receiver: &receiver{counts: "never", enough: 1}}
	config := twiliofake.Config{
		AccountSid: account,
		AuthToken:  authToken,
		APIKeys:    map[string]string{"SK0123456789abcdef0123456789abcdef": "secret"},
		Status:     twiliofake.Subscription{URL: hooks + "conference"},
		Recording:  twiliofake.Subscription{URL: hooks + "recording"},
		Clock:      twiliofake.FastForward(opening),
		Transport:  x.receiver,
	}
	if change != nil {
		change(&config)
	}
	x.Twilio = twiliofake.New(config)
	x.http = httptest.NewServer(x.Handler())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- x.Run(ctx) }()
	t.Cleanup(func() {
		x.http.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return x
}

// reply is an answer of the REST API.
type reply struct {
	status int
	header http.Header
	body   map[string]any
}

// code returns the code of a refusal, or 0.
func (r reply) code() int {
	code, _ := r.body["code"].(float64)
	return int(code)
}

func (r reply) items(key string) []string {
	items, _ := r.body[key].([]any)
	var sids []string
	for _, item := range items {
		sids = append(sids, item.(map[string]any)["sid"].(string))
	}
	return sids
}

// do sends a request for a resource of the account.
func (x *exchange) do(method, path string, form ...string) reply {
	x.t.Helper()
	return x.sends(method, "/2010-04-01/Accounts/"+account+"/"+path, account, authToken, form...)
}

func (x *exchange) sends(method, path, user, password string, form ...string) reply {
	x.t.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Add(form[i], form[i+1])
	}
	request, err := http.NewRequestWithContext(x.t.Context(), method, x.http.URL+path, strings.NewReader(values.Encode()))
	if err != nil {
		x.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(user, password)
	response, err := x.http.Client().Do(request)
	if err != nil {
		x.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		x.t.Fatal(err)
	}
	got := reply{status: response.StatusCode, header: response.Header}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &got.body); err != nil {
			x.t.Fatalf("%s %s does not answer JSON: %s", method, path, body)
		}
	}
	return got
}

// plays executes a story.
func (x *exchange) plays(s *twiliofake.Story) {
	x.t.Helper()
	if err := s.Plays(x.t.Context()); err != nil {
		x.t.Fatal(err)
	}
}

// settles waits until the effects of a REST request have ended and that much time has passed.
func (x *exchange) settles(d time.Duration) {
	x.t.Helper()
	s := x.NewStory()
	s.Passes(d)
	x.plays(s)
}

// callbacks returns the status callbacks about a conference, as "event label".
func (x *exchange) callbacks(conferenceSid string) []string {
	x.t.Helper()
	x.receiver.mu.Lock()
	defer x.receiver.mu.Unlock()
	var events []string
	for _, form := range x.byConference(x.t)[conferenceSid] {
		events = append(events, strings.TrimSpace(form.Get("StatusCallbackEvent")+" "+form.Get("ParticipantLabel")))
	}
	return events
}

// last returns the latest status callback of that event.
func (x *exchange) last(event string) url.Values {
	x.t.Helper()
	x.receiver.mu.Lock()
	defer x.receiver.mu.Unlock()
	for _, request := range slices.Backward(x.requests) {
		if request.form.Get("StatusCallbackEvent") == event {
			return request.form
		}
	}
	x.t.Fatalf("no %s was sent", event)
	return nil
}

// talk is a conference of two that is in progress.
func (x *exchange) talk(room string) (conferenceSid string, agent, customer *twiliofake.Caller) {
	x.t.Helper()
	s := x.NewStory()
	s.Records()
	agent = s.Agent("agent kate").Answers(room)
	s.Passes(time.Second)
	customer = s.Customer("customer").Calls(room)
	s.Passes(time.Second)
	x.plays(s)
	return agent.ConferenceSid(), agent, customer
}

func TestOnlyTheAccountsCredentialsAreAccepted(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	path := "/2010-04-01/Accounts/" + account + ".json"
	for name, c := range map[string]struct {
		user, password string
		want           int
	}{
		"the account":          {account, authToken, 200},
		"an API key":           {"SK0123456789abcdef0123456789abcdef", "secret", 200},
		"a wrong token":        {account, "wrong", 401},
		"another account":      {"AC00000000000000000000000000000000", "", 401},
		"a key with the token": {"SK0123456789abcdef0123456789abcdef", authToken, 401},
		"no credentials":       {"", "", 401},
		"an empty password":    {account, "", 401},
	} {
		got := x.sends("GET", path, c.user, c.password)
		if got.status != c.want || c.want == 401 && got.code() != 20003 {
			t.Errorf("%s: %d %v", name, got.status, got.body)
		}
		if c.want == 401 && got.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", name)
		}
	}
	if got := x.do("GET", "IncomingPhoneNumbers.json"); got.status != 200 || len(got.items("incoming_phone_numbers")) != 0 {
		t.Errorf("phone numbers: %+v", got)
	}
}

func TestAnswersHaveTwiliosHeaders(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	first, second := x.do("GET", "Conferences.json"), x.do("GET", "Conferences.json")
	id := first.header.Get("Twilio-Request-Id")
	if len(id) != 34 || !strings.HasPrefix(id, "RQ") || id == second.header.Get("Twilio-Request-Id") {
		t.Errorf("request ids %q and %q", id, second.header.Get("Twilio-Request-Id"))
	}
	if first.header.Get("Twilio-Concurrent-Requests") != "1" || !strings.HasPrefix(first.header.Get("Content-Type"), "application/json") {
		t.Errorf("headers are %v", first.header)
	}
}

func TestWrongPathsAndMethodsAreRefusedAsTwilioDoes(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	sid, _, _ := x.talk("support-1")
	for path, want := range map[string]struct{ method, code string }{
		"Conferences":                                          {"GET", "404 20404"}, // XML
		"Queues.json":                                          {"GET", "404 20404"},
		"Conferences.json":                                     {"POST", "405 20004"},
		"Conferences/support-1.json":                           {"GET", "405 20004"}, // a name in place of a SID
		"Conferences/" + sid + ".json":                         {"DELETE", "405 20004"},
		"Conferences/" + lost + ".json":                        {"GET", "404 20404"},
		"Conferences/" + sid + "/Calls.json":                   {"GET", "404 20404"},
		"Conferences/" + sid + "/Participants/nobody.json":     {"GET", "404 20404"},
		"Conferences/" + sid + "/Recordings/RE1.json":          {"GET", "404 20404"},
		"Conferences.json?DateCreated%3E=2026-08-03T00:00:00Z": {"GET", "400 20001"},
		"Conferences.json?Status=over":                         {"GET", "400 20001"},
		"Conferences.json?PageSize=many":                       {"GET", "400 20001"},
		"Conferences.json?PageToken=PA" + lost:                 {"GET", "400 20001"},
	} {
		got := x.do(want.method, path)
		if code := fmt.Sprintf("%d %d", got.status, got.code()); code != want.code {
			t.Errorf("%s %s: %s, want %s", want.method, path, code, want.code)
		}
		if got.body["status"] != float64(got.status) || got.body["more_info"] != fmt.Sprintf("https://www.twilio.com/docs/errors/%d", got.code()) {
			t.Errorf("%s %s: %v", want.method, path, got.body)
		}
	}
}

func TestAnotherAccountIsNotFound(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	got := x.sends("GET", "/2010-04-01/Accounts/AC00000000000000000000000000000000/Conferences.json", account, authToken)
	if got.status != 404 || got.code() != 20404 {
		t.Errorf("%+v", got)
	}
}

// lost is the SID of a conference that does not exist.
const lost = "CFffffffffffffffffffffffffffffffff"

func TestAConferenceIsShownFromItsBeginningToItsEnd(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	s := x.NewStory()
	agent := s.Agent("kate").Answers("support-1")
	x.plays(s)
	sid := agent.ConferenceSid()
	base := "/2010-04-01/Accounts/" + account + "/Conferences/" + sid
	want := map[string]any{
		"account_sid": account, "api_version": "2010-04-01", "call_sid_ending_conference": nil,
		"date_created": "Mon, 03 Aug 2026 09:00:00 +0000", "date_updated": "Mon, 03 Aug 2026 09:00:00 +0000",
		"friendly_name": "support-1", "reason_conference_ended": nil, "region": "us1", "sid": sid, "status": "init",
		"uri":              base + ".json",
		"subresource_uris": map[string]any{"participants": base + "/Participants.json", "recordings": base + "/Recordings.json"},
	}
	if diff := cmp.Diff(want, x.do("GET", "Conferences/"+sid+".json").body); diff != "" {
		t.Errorf("before it starts (-want +got):\n%s", diff)
	}
	s.Passes(time.Minute)
	customer := s.Customer("customer").Calls("support-1")
	x.plays(s)
	want["status"], want["date_updated"] = "in-progress", "Mon, 03 Aug 2026 09:01:00 +0000"
	if diff := cmp.Diff(want, x.do("GET", "Conferences/"+sid+".json").body); diff != "" {
		t.Errorf("in progress (-want +got):\n%s", diff)
	}
	s.Passes(time.Minute)
	agent.HangsUp()
	customer.HangsUp()
	x.plays(s)
	want["status"], want["date_updated"] = "completed", "Mon, 03 Aug 2026 09:02:00 +0000"
	want["reason_conference_ended"], want["call_sid_ending_conference"] = "last-participant-left", customer.CallSid()
	if diff := cmp.Diff(want, x.do("GET", "Conferences/"+sid+".json").body); diff != "" {
		t.Errorf("completed (-want +got):\n%s", diff)
	}
	if got := x.do("GET", "Conferences/"+sid+"/Participants.json"); len(got.items("participants")) != 0 || got.status != 200 {
		t.Errorf("participants of a completed conference: %+v", got)
	}
}

func TestConferencesAreFiltered(t *testing.T) {
	t.Parallel()
	midnight := opening.Truncate(24 * time.Hour)
	x := opens(t, func(c *twiliofake.Config) { c.Clock = twiliofake.FastForward(midnight) })
	s := x.NewStory()
	var sids []string
	for day, name := range []string{"sales", "room 1 | ü%", "sales"} {
		if day > 0 {
			s.Passes(24 * time.Hour)
		}
		c := s.Agent("kate").Answers(name)
		s.Passes(time.Minute)
		if day < 2 {
			c.HangsUp()
		}
		x.plays(s)
		sids = append(sids, c.ConferenceSid())
	}
	for query, want := range map[string][]int{
		"":                                                     {2, 1, 0},
		"?FriendlyName=sales":                                  {2, 0},
		"?FriendlyName=Sales":                                  nil,
		"?FriendlyName=room+1+%7C+%C3%BC%25":                   {1},
		"?FriendlyName=room%201%20%7C%20ü%25":                  {1},
		"?Status=completed":                                    {1, 0},
		"?Status=init":                                         {2},
		"?Status=init&FriendlyName=x":                          nil,
		"?DateCreated=2026-08-04":                              {1},
		"?DateCreated%3E=2026-08-04":                           {2, 1},
		"?DateCreated>=2026-08-04":                             {2, 1},
		"?DateCreated%3C=2026-08-04":                           {0},
		"?DateUpdated%3C=2026-08-03":                           nil,
		"?DateCreated%3C=2026-08-03":                           {0}, // its first instant
		"?DateCreated%3E=2026-08-03":                           {2, 1, 0},
		"?DateCreated%3E=2026-08-04&DateCreated%3C=2026-08-05": {1},
	} {
		var got []string
		for _, status := range []string{"init", "in-progress", "completed"} { // the order of these conferences
			if strings.Contains(query, "Status=") {
				got = x.do("GET", "Conferences.json"+query).items("conferences")
				break
			}
			got = append(got, x.do("GET", "Conferences.json?Status="+status+"&"+strings.TrimPrefix(query, "?")).items("conferences")...)
		}
		var wanted []string
		for _, i := range want {
			wanted = append(wanted, sids[i])
		}
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

// Since 2026-09-30 a list without Status shows conferences in progress only (Twilio, changelog).
func TestAListWithoutStatusShowsWhatIsInProgress(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	s := x.NewStory()
	s.Agent("kate").Answers("over").HangsUp()
	s.Agent("kate").Answers("waiting")
	live := s.Customer("customer").Calls("live")
	s.Agent("ana").Answers("live")
	x.plays(s)
	if diff := cmp.Diff([]string{live.ConferenceSid()}, x.do("GET", "Conferences.json").items("conferences")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPagesDoNotShiftWhileConferencesArrive(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	var sids []string
	arrive := func(name string) string {
		sid, _, err := x.Join(name, twiliofake.Leg{})
		if err != nil {
			t.Fatal(err)
		}
		return sid
	}
	for i := range 7 {
		sids = append(sids, arrive(fmt.Sprint("room-", i)))
	}
	slices.Reverse(sids)
	first := x.do("GET", "Conferences.json?Status=init&PageSize=3")
	arrive("newcomer")
	base := "/2010-04-01/Accounts/" + account + "/Conferences.json?Status=init&PageSize=3&Page="
	if first.body["next_page_uri"] != base+"1&PageToken=PA"+sids[2] || first.body["first_page_uri"] != base+"0" || len(first.body) != 10-1 {
		t.Errorf("the first page is %v", first.body)
	}
	got, next := first.items("conferences"), first
	for next.body["next_page_uri"] != nil {
		next = x.sends("GET", next.body["next_page_uri"].(string), account, authToken)
		got = append(got, next.items("conferences")...)
	}
	if diff := cmp.Diff(sids, got); diff != "" {
		t.Errorf("the pages together (-want +got):\n%s", diff)
	}
	if next.body["start"] != 6.0 || next.body["end"] != 6.0 || next.body["page"] != 2.0 {
		t.Errorf("the last page is %v", next.body)
	}
	back := x.sends("GET", next.body["previous_page_uri"].(string), account, authToken)
	if diff := cmp.Diff(sids[3:6], back.items("conferences")); diff != "" {
		t.Errorf("one page back (-want +got):\n%s", diff)
	}
	if empty := x.do("GET", "Conferences.json?Status=completed"); empty.body["start"] != 0.0 || empty.body["end"] != 0.0 {
		t.Errorf("the empty page is %v", empty.body)
	}
}

func TestAConferenceIsEndedByREST(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	sid, _, _ := x.talk("support-1")
	got := x.do("POST", "Conferences/"+sid+".json", "Status", "completed")
	if got.status != 200 || got.body["status"] != "completed" || got.body["reason_conference_ended"] != "conference-ended-via-api" || got.body["call_sid_ending_conference"] != nil {
		t.Errorf("the answer is %+v", got)
	}
	x.settles(0)
	want := []string{
		"participant-join agent kate", "participant-join customer", "conference-start",
		"participant-leave agent kate", "participant-leave customer", "conference-end",
	}
	if diff := cmp.Diff(want, x.callbacks(sid)); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	for name, form := range map[string][]string{
		"again":                 {"Status", "completed"},
		"announce to the ended": {"AnnounceUrl", "https://example.com/a.mp3"},
		"another status":        {"Status", "in-progress"},
	} {
		if got := x.do("POST", "Conferences/"+sid+".json", form...); got.status != 400 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if again, _, _ := x.talk("support-1"); again == sid {
		t.Error("the name is still in use by the completed conference")
	}
	if tally := x.Tally(twiliofake.EndConference); tally != (twiliofake.Tally{Asked: 3, Done: 1}) {
		t.Errorf("tally is %+v", tally)
	}
}

func TestAnAnnouncementEndsALittleLater(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	sid, agent, _ := x.talk("support-1")
	got := x.do("POST", "Conferences/"+sid+".json", "AnnounceUrl", "https://example.com/all.mp3", "AnnounceMethod", "GET")
	if got.status != 200 || got.body["status"] != "in-progress" {
		t.Errorf("the answer is %+v", got)
	}
	x.settles(5 * time.Second)
	if event := x.last("announcement-end"); event.Get("AnnounceUrl") != "https://example.com/all.mp3" || event.Has("CallSid") {
		t.Errorf("sent %v", event)
	}
	x.do("POST", "Conferences/"+sid+"/Participants/agent%20kate.json", "AnnounceUrl", "https://example.com/kate.mp3")
	x.settles(5 * time.Second)
	if event := x.last("announcement-end"); event.Get("AnnounceUrl") != "https://example.com/kate.mp3" || event.Get("CallSid") != agent.CallSid() {
		t.Errorf("sent %v", event)
	}
}

func TestAnnouncementsAreFetchedIfConfigured(t *testing.T) {
	t.Parallel()
	x := opens(t, func(c *twiliofake.Config) { c.FetchAnnouncements = true })
	sid, agent, _ := x.talk("support-1")
	x.do("POST", "Conferences/"+sid+".json", "AnnounceUrl", hooks+"announcements/all")
	x.do("POST", "Conferences/"+sid+"/Participants/agent%20kate.json", "AnnounceUrl", hooks+"announcements/kate", "AnnounceMethod", "GET")
	x.settles(10 * time.Second)
	if diff := cmp.Diff(map[string]int{hooks + "announcements/all": 1}, x.Played()); diff != "" {
		t.Errorf("played (-want +got):\n%s", diff)
	}
	x.receiver.mu.Lock()
	defer x.receiver.mu.Unlock()
	fetched := map[string]received{}
	for _, request := range x.requests {
		fetched[request.URL.Path] = request
	}
	all, kate := fetched["/twilio/announcements/all"], fetched["/twilio/announcements/kate"]
	if all.Request == nil || all.Method != http.MethodPost || all.form.Get("ConferenceSid") != sid || all.form.Has("CallSid") {
		t.Errorf("for all: %+v", all)
	}
	if kate.Request == nil || kate.Method != http.MethodGet || kate.form.Get("CallSid") != agent.CallSid() {
		t.Errorf("for kate: %+v", kate)
	}
}

func TestAParticipantIsShownUpdatedAndKicked(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	sid, agent, customer := x.talk("support-1")
	base := "Conferences/" + sid + "/Participants/"
	want := map[string]any{
		"account_sid": account, "call_sid": customer.CallSid(), "call_sid_to_coach": nil, "coaching": false,
		"conference_sid": sid, "date_created": "Mon, 03 Aug 2026 09:00:01 +0000", "date_updated": "Mon, 03 Aug 2026 09:00:02 +0000",
		"end_conference_on_exit": true, "hold": true, "label": "customer", "muted": true, "queue_time": nil,
		"start_conference_on_enter": false, "status": "connected",
		"uri": "/2010-04-01/Accounts/" + account + "/" + base + customer.CallSid() + ".json",
	}
	updated := x.do("POST", base+"customer.json", "Muted", "true", "Hold", "true", "HoldUrl", "https://example.com/h", "EndConferenceOnExit", "true", "BeepOnExit", "false")
	if diff := cmp.Diff(want, updated.body); diff != "" {
		t.Errorf("after the update (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, x.do("GET", base+customer.CallSid()+".json").body); diff != "" {
		t.Errorf("fetched (-want +got):\n%s", diff)
	}
	x.do("POST", base+"customer.json", "Muted", "true") // no change
	x.settles(0)
	events := x.callbacks(sid)[3:]
	if diff := cmp.Diff([]string{"participant-mute customer", "participant-hold customer", "participant-modify customer"}, events); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	for query, want := range map[string]int{"": 2, "?Muted=true": 1, "?Hold=false": 1, "?Coaching=true": 0, "?Muted=true&Hold=false": 0, "?PageSize=1": 1} {
		got := x.do("GET", "Conferences/"+sid+"/Participants.json"+query)
		if n := len(got.body["participants"].([]any)); n != want {
			t.Errorf("%d participants for %q, want %d", n, query, want)
		}
	}
	if got := x.do("DELETE", base+"customer.json"); got.status != 204 || got.body != nil {
		t.Errorf("kick: %+v", got)
	}
	x.settles(0)
	if end := x.last("conference-end"); end.Get("ReasonConferenceEnded") != "participant-with-end-conference-on-exit-kicked" {
		t.Errorf("sent %v", end)
	}
	if got := x.do("DELETE", base+agent.CallSid()+".json"); got.status != 404 || got.code() != 20404 {
		t.Errorf("kick after the end: %+v", got)
	}
}

func TestCoachingNeedsAParticipantToCoach(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	sid, agent, _ := x.talk("support-1")
	path := "Conferences/" + sid + "/Participants/customer.json"
	for want, form := range map[int][]string{
		20001: {"Coaching", "true"},
		13240: {"Coaching", "true", "CallSidToCoach", "CA00000000000000000000000000000000"},
		0:     {"Coaching", "true", "CallSidToCoach", agent.CallSid()},
	} {
		if got := x.do("POST", path, form...); got.code() != want {
			t.Errorf("%v: %+v", form, got)
		}
	}
	if got := x.do("POST", path, "Coaching", "false"); got.body["coaching"] != false || got.body["call_sid_to_coach"] != nil {
		t.Errorf("after the coaching: %v", got.body)
	}
}

func TestARecordingIsPausedResumedAndDeleted(t *testing.T) {
	t.Parallel()
	x := opens(t, nil)
	sid, agent, _ := x.talk("support-1")
	path := "Conferences/" + sid + "/Recordings/"
	listed := x.do("GET", "Conferences/"+sid+"/Recordings.json").items("recordings")
	if len(listed) != 1 {
		t.Fatalf("recordings: %v", listed)
	}
	if got := x.do("POST", path+"Twilio.CURRENT.json", "Status", "paused", "PauseBehavior", "skip"); got.body["status"] != "paused" || got.body["sid"] != listed[0] {
		t.Errorf("pause: %+v", got)
	}
	x.settles(30 * time.Second)
	for name, c := range map[string]struct {
		form []string
		want int
	}{
		"paused already":  {[]string{"Status", "paused"}, 21220},
		"stopped":         {[]string{"Status", "stopped"}, 21220},
		"unknown status":  {[]string{"Status", "gone"}, 20001},
		"unknown pausing": {[]string{"Status", "paused", "PauseBehavior", "hum"}, 20001},
	} {
		if got := x.do("POST", path+listed[0]+".json", c.form...); got.code() != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := x.do("POST", path+listed[0]+".json", "Status", "in-progress"); got.body["status"] != "in-progress" {
		t.Errorf("resume: %+v", got)
	}
	s := x.NewStory()
	s.Passes(19 * time.Second)
	s.Ends("support-1")
	s.Passes(10 * time.Second)
	x.plays(s)
	want := map[string]any{
		"account_sid": account, "api_version": "2010-04-01", "call_sid": agent.CallSid(), "channels": 1.0, "conference_sid": sid,
		"date_created": "Mon, 03 Aug 2026 09:00:01 +0000", "date_updated": "Mon, 03 Aug 2026 09:00:51 +0000", "duration": "20",
		"encryption_details": nil, "error_code": nil, "price": "-0.0025", "price_unit": "USD", "sid": listed[0], "source": "Conference",
		"start_time": "Mon, 03 Aug 2026 09:00:01 +0000", "status": "completed",
		"uri": "/2010-04-01/Accounts/" + account + "/" + path + listed[0] + ".json",
	}
	if diff := cmp.Diff(want, x.do("GET", path+listed[0]+".json").body); diff != "" {
		t.Errorf("at the end (-want +got):\n%s", diff)
	}
	if got := x.do("GET", path+"Twilio.CURRENT.json"); got.status != 404 {
		t.Errorf("a current recording after the end: %+v", got)
	}
	if got := x.do("DELETE", path+listed[0]+".json"); got.status != 204 {
		t.Errorf("delete: %+v", got)
	}
	if got := x.do("GET", path+listed[0]+".json"); got.status != 404 {
		t.Errorf("after it was deleted: %+v", got)
	}
}
