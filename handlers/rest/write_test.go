package rest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gavel/events"
	"gavel/internal/keys"
	"gavel/internal/twilio/twiliofake"
	"gavel/projections"
)

func TestAWriteIsForwardedAndRecorded(t *testing.T) {
	t.Parallel()
	const created, ok, gone = http.StatusCreated, http.StatusOK, http.StatusNoContent
	for name, c := range map[string]struct {
		method, path, form string
		call               twiliofake.Call
		status             int
		want               events.Action // its SIDs stand for those of the floor
	}{
		"end it": {
			"POST", ".json", "Status=completed", twiliofake.EndConference, ok,
			events.Action{Do: events.DoEnd, ConferenceSid: "floor", Asked: "Status=completed"},
		},
		"announce": {
			"POST", ".json", "AnnounceUrl=https%3A%2F%2Fexample.com%2Fx&AnnounceMethod=GET", twiliofake.Announcement, ok,
			events.Action{Do: events.DoAnnounce, ConferenceSid: "floor", Asked: "AnnounceMethod=GET"},
		},
		"add a participant": {
			"POST", "/Participants.json", "From=%2B15005550006&To=%2B15005550009&Label=boss&EarlyMedia=false" +
				"&StatusCallback=https%3A%2F%2Fexample.com&StatusCallbackEvent=ringing&StatusCallbackEvent=answered",
			twiliofake.AddParticipant, created,
			events.Action{Do: events.DoAddParticipant, ConferenceSid: "floor", CallSid: "new", Asked: "EarlyMedia=false&StatusCallbackEvent=ringing&StatusCallbackEvent=answered"},
		},
		"hold one": {
			"POST", "/Participants/AGENT.json", "Hold=true&HoldUrl=https%3A%2F%2Fexample.com", twiliofake.UpdateParticipant, ok,
			events.Action{Do: events.DoUpdateParticipant, ConferenceSid: "floor", CallSid: "agent", Asked: "Hold=true"},
		},
		"mute one by label": {
			"POST", "/Participants/agent.json", "Muted=true", twiliofake.UpdateParticipant, ok,
			events.Action{Do: events.DoUpdateParticipant, ConferenceSid: "floor", CallSid: "agent", Asked: "Muted=true"},
		},
		"mute one by a label the picture does not know": {
			"POST", "/Participants/m%C3%BCller%20%26%20s%C3%B6hne%20100%25%20%7C%20a.json", "Muted=true", twiliofake.UpdateParticipant, ok,
			events.Action{Do: events.DoUpdateParticipant, ConferenceSid: "floor", CallSid: "customer", Asked: "Muted=true"},
		},
		"kick one": {
			"DELETE", "/Participants/AGENT.json", "", twiliofake.KickParticipant, gone,
			events.Action{Do: events.DoKick, ConferenceSid: "floor", CallSid: "agent"},
		},
		"kick one by label": {
			"DELETE", "/Participants/agent.json", "", twiliofake.KickParticipant, gone,
			events.Action{Do: events.DoKick, ConferenceSid: "floor", CallSid: "agent"},
		},
		"pause the recording that runs": {
			"POST", "/Recordings/Twilio.CURRENT.json", "Status=paused&PauseBehavior=skip", twiliofake.UpdateRecording, ok,
			events.Action{Do: events.DoUpdateRecording, ConferenceSid: "floor", RecordingSid: "new", Asked: "Status=paused&PauseBehavior=skip"},
		},
		"delete the recording that runs": {
			"DELETE", "/Recordings/Twilio.CURRENT.json", "", twiliofake.DeleteRecording, gone,
			events.Action{Do: events.DoDeleteRecording, ConferenceSid: "floor"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := openFloor(t)
			user, password := f.key(keys.Operator)
			path := f.within(strings.Replace(c.path, "AGENT", f.agent, 1))
			a := f.send(f.request(c.method, accounts+account+path, user, password, c.form))
			if a.status != c.status || f.fake.Tally(c.call) != (twiliofake.Tally{Asked: 1, Done: 1}) {
				t.Fatalf("%d %s, and Twilio did %+v", a.status, a.body, f.fake.Tally(c.call))
			}
			intent, outcome := f.only()
			want := f.named(c.want, a)
			want.AccountSid, want.Actor = account, events.Actor{Sid: user, Name: "kate"}
			unsaid := cmpopts.IgnoreFields(events.Action{}, "ID", "At")
			if diff := cmp.Diff(want, outcome.Action, unsaid); diff != "" {
				t.Errorf("the outcome (-want +got):\n%s", diff)
			}
			outcome.wantOutcome(t, events.Outcome{Result: events.Done, Status: c.status})
			if intent.ConferenceSid != f.conference || intent.Do != want.Do || intent.Actor != want.Actor || intent.Asked != want.Asked {
				t.Errorf("the intent is %+v", intent)
			}
		})
	}
}

// named replaces words with the floor's SIDs, and with those of an answer.
func (f *floor) named(a events.Action, from answer) events.Action {
	var said struct {
		Sid     string
		CallSid string `json:"call_sid"`
	}
	_ = json.Unmarshal([]byte(from.body), &said) // 204 has no body
	a.ConferenceSid = f.conference
	a.CallSid = map[string]string{"agent": f.agent, "customer": f.customer, "new": said.CallSid}[a.CallSid]
	if a.RecordingSid == "new" {
		a.RecordingSid = said.Sid
	}
	return a
}

func TestTheAnswerToAWriteIsTwilios(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	a := f.post(f.within("/Participants/agent.json"), "Muted=true")
	direct := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, accounts+account+f.within("/Participants/agent.json"), nil)
	r.SetBasicAuth(account, token)
	f.fake.Handler().ServeHTTP(direct, r)
	if a.body != direct.Body.String() || !strings.Contains(a.body, `"uri":"/2010-04-01/Accounts/`) {
		t.Errorf("answered %s, Twilio answers %s", a.body, direct.Body)
	}
	for _, name := range []string{"Twilio-Request-Id", "Twilio-Request-Duration", "Twilio-Concurrent-Requests", "X-Home-Region", "Content-Type"} {
		if len(a.header.Values(name)) != 1 {
			t.Errorf("%s: %q", name, a.header.Values(name))
		}
	}
	if got := a.header.Get("Twilio-Request-Duration"); got != "0.010" {
		t.Errorf("the stand-in answers after 0.010 s, not %s", got)
	}
}

func TestAParticipantCanBeAddedByTheRoomsName(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	a := f.post("/Conferences/M%C3%BCller%20%26%20S%C3%B6hne%2F7/Participants.json", "From=%2B15005550006&To=%2B15005550009")
	var made struct {
		CallSid       string `json:"call_sid"`
		ConferenceSid string `json:"conference_sid"`
	}
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.body)
	}
	intent, outcome := f.only()
	if intent.ConferenceSid != "" {
		t.Errorf("the intent already has conference %s", intent.ConferenceSid)
	}
	if outcome.ConferenceSid != made.ConferenceSid || outcome.CallSid != made.CallSid {
		t.Errorf("the outcome is on %+v, want %+v", outcome.Action, made)
	}
	name := f.nameOf(made.ConferenceSid)
	if name != "Müller & Söhne/7" {
		t.Errorf("the room is called %q", name)
	}
}

// nameOf fetches the name from the stand-in itself.
func (f *floor) nameOf(conference string) string {
	f.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, accounts+account+"/Conferences/"+conference+".json", nil)
	r.SetBasicAuth(account, token)
	f.fake.Handler().ServeHTTP(w, r)
	var c struct {
		FriendlyName string `json:"friendly_name"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &c); err != nil {
		f.Fatal(err)
	}
	return c.FriendlyName
}

// The picture may not have a conference yet, or never get it: Twilio is called all the same. A
// conference that Twilio does not have either leaves no trace in the picture.
func TestAWriteToAConferenceThatThePictureDoesNotHave(t *testing.T) {
	t.Parallel()
	t.Run("Twilio does", func(t *testing.T) {
		t.Parallel()
		f := openFloor(t)
		f.fill(nil)
		if a := f.post(f.within(".json"), "Status=completed"); a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.body)
		}
		intent, outcome := f.only()
		if intent.ConferenceSid != "" || outcome.ConferenceSid != f.conference {
			t.Errorf("the intent names %q, the outcome %q", intent.ConferenceSid, outcome.ConferenceSid)
		}
	})
	t.Run("Twilio neither", func(t *testing.T) {
		t.Parallel()
		f := openFloor(t)
		a := f.post("/Conferences/"+sid("CF", 9)+".json", "Status=completed")
		checkFault(t, "end", a, 404, 20404, "")
		intent, outcome := f.only()
		if intent.ConferenceSid != "" || outcome.ConferenceSid != "" {
			t.Errorf("the intent names %q, the outcome %q", intent.ConferenceSid, outcome.ConferenceSid)
		}
		outcome.wantOutcome(t, events.Outcome{Result: events.Failed, Status: 404, Code: 20404})
	})
	t.Run("nobody knows while it is lost", func(t *testing.T) {
		t.Parallel()
		f := openFloor(t)
		f.redis.Empty()
		if a := f.post(f.within(".json"), "Status=completed"); a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.body)
		}
		if intent, _ := f.only(); intent.ConferenceSid != f.conference {
			t.Errorf("the intent names %q", intent.ConferenceSid)
		}
	})
}

func TestTwiliosRefusalsAreReturned(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	a := f.post(f.within("/Participants.json"), "From=%2B15005550006&To=%2B15005550009&Label=agent")
	if a.status != http.StatusBadRequest || !strings.Contains(a.body, `"code":16026`) {
		t.Errorf("a label in use: %d %s", a.status, a.body)
	}
	_, outcome := f.only()
	outcome.wantOutcome(t, events.Outcome{Result: events.Failed, Status: 400, Code: 16026})
}

func TestOnlyOperatorsOfTheAccountMayWrite(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	viewer, viewerSecret := f.key(keys.Viewer)
	operator, operatorSecret := f.key(keys.Operator)
	admin, adminSecret := f.key(keys.Admin)
	all, allSecret, err := f.keys.Create(t.Context(), "all", keys.Operator, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		user, password, account string
		status, code            int
		message                 string
	}{
		"no credentials":            {"", "", account, 401, 20003, "Authenticate"},
		"a viewer":                  {viewer, viewerSecret, account, 403, 20403, "Forbidden: this API key may only read; create one that may write with gavel keys create --role operator"},
		"another account":           {foreign, itsTokens, account, 404, 20404, ""},
		"an operator of another":    {operator, operatorSecret, foreign, 404, 20404, ""},
		"no credentials at Twilio":  {all.Sid, allSecret, foreign, 403, 20403, "Forbidden: Gavel has no credentials for this account; add it to accounts in gavel.yaml, with its auth token"},
		"its token, no credentials": {foreign, itsTokens, foreign, 403, 20403, ""},
	} {
		for _, method := range []string{http.MethodPost, http.MethodDelete} {
			path := accounts + c.account + f.within("/Participants/agent.json")
			a := f.send(f.request(method, path, c.user, c.password, "Muted=true"))
			checkFault(t, name, a, c.status, c.code, c.message)
		}
	}
	if all := f.records(); len(all) > 0 {
		t.Errorf("the journal holds %+v", all)
	}
	for name, who := range map[string][2]string{
		"an operator": {operator, operatorSecret}, "an admin": {admin, adminSecret},
		"an operator of all": {all.Sid, allSecret}, "the account": {account, token},
	} {
		a := f.send(f.request(http.MethodPost, accounts+account+f.within("/Participants/agent.json"), who[0], who[1], "Muted=true"))
		if a.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// A browser sends stored credentials with requests that the page of another site makes.
func TestPagesOfOtherSitesMayNotWrite(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	r := f.request(http.MethodPost, accounts+account+f.within(".json"), account, token, "Status=completed")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	checkFault(t, "end", f.send(r), 403, 20403, "Forbidden: a web page of another site may not write")
	if n := f.fake.Tally(twiliofake.EndConference).Asked; n > 0 {
		t.Errorf("Twilio was called %d times", n)
	}
}

func TestAnAmbiguousWriteIsRefused(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	for name, c := range map[string]struct{ path, form, message string }{
		"another status":    {".json", "Status=in-progress", "Bad request: Status must be completed"},
		"two statuses":      {".json", "Status=in-progress&Status=completed", "Bad request: a parameter is duplicated"},
		"two labels":        {"/Participants.json", "Label=a&Label=b", "Bad request: a parameter is duplicated"},
		"an invalid escape": {".json", "Status=completed&AnnounceUrl=%zz", "Bad request: the body cannot be decoded"},
		"a semicolon":       {".json", "Status=completed;x=1", "Bad request: the body cannot be decoded"},
		"in the query":      {".json?Status=completed", "", "Bad request: the parameters of a write must be in its body"},
		"query and body":    {".json?x=1", "Status=completed", "Bad request: the parameters of a write must be in its body"},
		"too long":          {".json", "Status=completed&x=" + strings.Repeat("x", 64<<10), "Bad request: the body is longer than 64 KiB, or incomplete"},
	} {
		checkFault(t, name, f.post(f.within(c.path), c.form), 400, 20001, c.message)
	}
	r := f.request(http.MethodPost, accounts+account+f.within(".json"), account, token, `{"Status":"completed"}`)
	r.Header.Set("Content-Type", "application/json")
	checkFault(t, "JSON", f.send(r), 400, 20001, "Bad request: the body must be application/x-www-form-urlencoded")
	checkFault(t, "by name", f.post("/Conferences/floor.json", "Status=completed"), 405, 20004, "")
	if all := f.records(); len(all) > 0 {
		t.Errorf("the journal holds %+v", all)
	}
}

func TestWithoutAJournalTwilioIsNotCalled(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	if err := f.bus.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := f.post(f.within(".json"), "Status=completed")
	checkFault(t, "end", a, 503, 20503, "Service unavailable: Gavel's journal is unavailable, so Twilio was not called; retry soon")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if n := f.fake.Tally(twiliofake.EndConference).Asked; n > 0 {
		t.Errorf("Twilio was called %d times", n)
	}
}

// unsure is a journal that stores the first entry and returns an error.
type unsure struct {
	*floor
	doubted bool
}

func (u *unsure) Append(ctx context.Context, conferenceSid string, e events.Entry) error {
	err := u.bus.Journal().Append(ctx, conferenceSid, e)
	if !u.doubted {
		u.doubted = true
		return context.DeadlineExceeded
	}
	return err
}

// The journal may have stored an intent although Append failed. Its actor must
// not be reported as a probable cause.
func TestAnIntentInDoubtGetsAnOutcome(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	f.config.Journal = &unsure{floor: f}
	f.serve(f.store)
	checkFault(t, "end", f.post(f.within(".json"), "Status=completed"), 503, 20503, "")
	_, outcome := f.only()
	outcome.wantOutcome(t, events.Outcome{Result: events.Failed})
	if n := f.fake.Tally(twiliofake.EndConference).Asked; n > 0 {
		t.Errorf("Twilio was called %d times", n)
	}
}

func TestNoAnswerFromTwilioIsA504(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	f.config.Twilio = impatient{callerAt(t, f.twilioAt()), 50 * time.Millisecond}
	f.serve(f.store)
	f.fake.SetWeather(twiliofake.Weather{Silent: true, CarriedOut: true})
	checkFault(t, "end", f.post(f.within(".json"), "Status=completed"), 504, 20504,
		"Gateway timeout: Twilio did not answer, so whether it executed the request is unknown")
	_, outcome := f.only()
	outcome.wantOutcome(t, events.Outcome{Result: events.Unknown})
	if outcome.ConferenceSid != f.conference {
		t.Errorf("the outcome is on %q", outcome.ConferenceSid)
	}
	if n := f.fake.Tally(twiliofake.EndConference).Asked; n != 1 {
		t.Errorf("Twilio was called %d times", n)
	}
}

// twilioAt is another route to the stand-in.
func (f *floor) twilioAt() string {
	server := httptest.NewServer(f.fake.Handler())
	f.Cleanup(server.Close)
	return server.URL
}

func TestAFailingTwilioIsCalledOnce(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	f.fake.SetWeather(twiliofake.Weather{Status: 503, CarriedOut: true})
	if a := f.post(f.within(".json"), "Status=completed"); a.status != 503 || !strings.Contains(a.body, `"code":20503`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	_, outcome := f.only()
	outcome.wantOutcome(t, events.Outcome{Result: events.Unknown, Status: 503, Code: 20503})
	if n := f.fake.Tally(twiliofake.EndConference); n != (twiliofake.Tally{Asked: 1, Done: 1}) {
		t.Errorf("Twilio counted %+v", n)
	}
}

func TestAnUnreachableTwilioDidNothing(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	nobody := httptest.NewServer(http.NotFoundHandler())
	nobody.Close()
	f.config.Twilio = callerAt(t, nobody.URL)
	f.serve(f.store)
	checkFault(t, "end", f.post(f.within(".json"), "Status=completed"), 503, 20503,
		"Service unavailable: Twilio cannot be reached, so nothing was done; retry soon")
	_, outcome := f.only()
	outcome.wantOutcome(t, events.Outcome{Result: events.Failed})
}

func TestAWriteIsRetriedAfterA429(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	f.fake.SetWeather(twiliofake.Weather{Status: 429, Times: 2})
	if a := f.post(f.within(".json"), "Status=completed"); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
	if n := f.fake.Tally(twiliofake.EndConference); n != (twiliofake.Tally{Asked: 3, Done: 1}) {
		t.Errorf("Twilio counted %+v", n)
	}
	_, outcome := f.only()
	outcome.wantOutcome(t, events.Outcome{Result: events.Done, Status: 200})
}

func TestAWaitLongerThanTheBudgetIsReturnedToTheClient(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	f.fake.SetWeather(twiliofake.Weather{Status: 429, RetryAfter: time.Minute})
	a := f.post(f.within(".json"), "Status=completed")
	if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "60" {
		t.Errorf("%d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
	_, outcome := f.only()
	outcome.wantOutcome(t, events.Outcome{Result: events.Failed, Status: 429, Code: 20429})
}

// No callback arrives: the answer itself is folded, right behind what the record had
// seen when Twilio was asked.
func TestWhatTwilioAnswersToAWriteIsFolded(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	stored, err := f.store.Conference(t.Context(), events.Key{AccountSid: account, ConferenceSid: f.conference})
	if err != nil {
		t.Fatal(err)
	}
	if a := f.post(f.within("/Participants/"+f.agent+".json"), "Hold=true"); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	facts := f.healed()
	if len(facts) != 1 || facts[0].Fact != events.ParticipantModify || facts[0].CallSid != f.agent || facts[0].Behind != stored.Conference.Seen.Max() {
		t.Fatalf("the journal has the facts %+v", facts)
	}
	e, err := events.Parse(events.NewHealed(facts[0]))
	if err != nil {
		t.Fatal(err)
	}
	held, _, err := projections.Fold(stored.Conference, &e)
	if err != nil || !held.Participant(f.agent).Flags.Value.Hold {
		t.Errorf("%v: the leg is %+v", err, held.Participant(f.agent))
	}
	f.post(f.within(".json"), "Status=completed")
	if facts = f.healed(); len(facts) != 2 || facts[1].Fact != events.ConferenceEnd {
		t.Errorf("the journal has the facts %+v", facts)
	}
}

// A leg has joined at Twilio and its callback is on its way, or Redis does not answer: the answer is
// in the journal, so that it counts once the join is folded.
func TestWhatTwilioAnswersIsFoldedWithoutTheRecord(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	f.post(f.within("/Participants/"+f.customer+".json"), "Hold=true")
	f.serve(away{f.store})
	f.post(f.within("/Participants/"+f.agent+".json"), "Muted=true")
	f.post(f.within(".json"), "Status=completed")
	var got []string
	for _, h := range f.healed() {
		got = append(got, fmt.Sprintf("%s %s %s", h.Fact, map[string]string{f.agent: "agent", f.customer: "customer"}[h.CallSid], h.Flags))
	}
	want := []string{"participant-join customer hold", "participant-join agent muted&start-on-enter", "conference-end  "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the facts in the journal (-want +got):\n%s", diff)
	}
}

// The client disconnects while Twilio is still working: the outcome is recorded all the same.
func TestADisconnectedClientChangesNothing(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	f.fake.SetWeather(twiliofake.Weather{Delay: 200 * time.Millisecond})
	ctx, hangUp := context.WithCancel(t.Context())
	r := f.request(http.MethodPost, accounts+account+f.within(".json"), account, token, "Status=completed").WithContext(ctx)
	left := make(chan error, 1)
	go func() {
		response, err := http.DefaultClient.Do(r)
		if err == nil {
			response.Body.Close()
		}
		left <- err
	}()
	f.await("Twilio is asked", func() bool { return f.fake.Tally(twiliofake.EndConference).Asked == 1 })
	hangUp()
	if err := <-left; err == nil {
		t.Error("the client got an answer")
	}
	f.await("the outcome is told", func() bool { return len(f.records()) == 2 })
	_, outcome := f.only()
	outcome.wantOutcome(t, events.Outcome{Result: events.Done, Status: 200})
}

// Whatever a form contains, its journal entry can be read again and contains no phone number.
func FuzzForm(f *testing.F) {
	for _, form := range []string{
		"", "Muted=true", "Muted=%2B15005550006", "Status=completed&Label=x", "StatusCallbackEvent=ringing&StatusCallbackEvent=answered",
		"a=%zz", ";", "Beep=onEnter&From=%2B15005550006&Hold=true", "Status=completed&Status=completed",
	} {
		f.Add(form)
	}
	kept := &memory{}
	s := start(f, fullRoom())
	s.config.Journal, s.config.Twilio = kept, kept
	h := s.handler(s.store)
	f.Fuzz(func(t *testing.T, form string) {
		kept.entries = nil
		r := httptest.NewRequest(http.MethodPost, accounts+account+routes[3], strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(account, token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if _, err := url.ParseQuery(form); err != nil && w.Code != http.StatusBadRequest {
			t.Fatalf("%q: %d", form, w.Code)
		}
		for _, e := range kept.entries {
			if event, err := events.Parse(e); err != nil || strings.Contains(event.Params.Encode(), "5005550006") {
				t.Fatalf("%q leaves %q: %v", form, e.Form, err)
			}
		}
	})
}

// An update that names nothing to do is Twilio's to answer, and nothing to record.
func TestAnEmptyUpdateIsAnsweredByTwilio(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	for _, form := range []string{"", "AnnounceMethod=GET"} {
		a := f.post(f.within(".json"), form)
		if a.status != http.StatusOK || !strings.Contains(a.body, `"sid":"`+f.conference+`"`) || a.header.Get("Twilio-Request-Id") == "" {
			t.Errorf("%q: %d %s", form, a.status, a.body)
		}
	}
	if n := f.fake.Tally(twiliofake.UpdateConference).Asked; n != 2 {
		t.Errorf("Twilio was asked %d times", n)
	}
	if all := f.records(); len(all) > 0 {
		t.Errorf("the journal holds %+v", all)
	}
}

// A proxy on the way to Twilio answers with a page, a redirect or nothing. Twilio's clients get an error
// that they can read, and a redirect is no success.
func TestAnAnswerThatIsNotTwiliosIsAnErrorInItsForm(t *testing.T) {
	t.Parallel()
	const page = "<html><body>Bad Gateway</body></html>"
	for name, c := range map[string]struct {
		status, want int
		body         string
		result       events.Result
	}{
		"a page":             {http.StatusBadGateway, http.StatusBadGateway, page, events.Unknown},
		"a log-in page":      {http.StatusForbidden, http.StatusForbidden, page, events.Failed},
		"a redirect":         {http.StatusTemporaryRedirect, http.StatusBadGateway, "", events.Failed},
		"JSON of a redirect": {http.StatusFound, http.StatusBadGateway, "{}", events.Failed},
		"a page as success":  {http.StatusOK, http.StatusBadGateway, page, events.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := openFloor(t)
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.Header().Set("Content-Type", "text/html")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			t.Cleanup(proxy.Close)
			f.config.Twilio = callerAt(t, proxy.URL)
			f.serve(f.store)
			a := f.post(f.within(".json"), "Status=completed")
			checkFault(t, "end", a, c.want, 20502, "")
			if got := a.header.Get("Content-Type"); got != "application/json;charset=utf-8" {
				t.Errorf("Content-Type is %s", got)
			}
			all := f.records()
			if len(all) != 2 || all[1].outcome.Result != c.result {
				t.Errorf("the journal holds %+v, want the result %s", all, c.result)
			}
		})
	}
}
