package rest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/internal/keys"
	"gavel/projections"
)

// fullRoom has one of every resource.
func fullRoom() *projections.Conference {
	c := room(1, "floor", at("08-01 10:00:00"), leg(1, "agent", at("08-01 10:00:01"), projections.Flags{}))
	c.Recordings = []*projections.Recording{recording(1, at("08-01 10:00:05"))}
	return c
}

// routes are all routes, relative to the account.
var routes = []string{
	"/Conferences.json",
	"/Conferences/" + sid("CF", 1) + ".json",
	"/Conferences/" + sid("CF", 1) + "/Participants.json",
	"/Conferences/" + sid("CF", 1) + "/Participants/agent.json",
	"/Conferences/" + sid("CF", 1) + "/Recordings.json",
	"/Conferences/" + sid("CF", 1) + "/Recordings/" + sid("RE", 1) + ".json",
}

const accounts = "/2010-04-01/Accounts/"

func TestErrorsHaveTwiliosForm(t *testing.T) {
	t.Parallel()
	s := start(t, fullRoom())
	conference := "/Conferences/" + sid("CF", 1)
	for path, want := range map[string]struct {
		status, code int
		message      string
	}{
		"/Conferences/" + sid("CF", 2) + ".json":            {404, 20404, "The requested resource " + accounts + account + "/Conferences/" + sid("CF", 2) + ".json was not found"},
		"/Conferences.csv":                                  {404, 20404, ""},
		"/Conferences/.json":                                {404, 20404, ""},
		"/Conferences.json?Page=1":                          {400, 20001, "Bad request: Page needs the PageToken beside it: follow next_page_uri instead of counting"},
		conference + "/Participants.json?Page=2&PageSize=1": {400, 20001, ""},
		conference + "/Participants/none.json":              {404, 20404, ""},
		conference + "/Nothing.json":                        {404, 20404, ""},
		conference + "/Participants/a/b.json":               {404, 20404, ""},
		conference + "/Recordings/none.json":                {404, 20404, ""},
		"/Calls.json": {404, 20404, "The requested resource " + accounts + account + "/Calls.json was not found: Gavel serves conferences," +
			" their participants and their recordings only; use a second client with Twilio's own base URL for other resources"},
		"/Messages/MM0.json":                                          {404, 20404, ""},
		"/Conferences/floor.json":                                     {405, 20004, "Method not allowed: name the conference by its SID (CF...), not by its friendly name"},
		"/Conferences/floor/Participants.json":                        {405, 20004, ""},
		"/Conferences.json?PageSize=0":                                {400, 20001, "Bad request: PageSize must be a whole number of at least 1"},
		"/Conferences.json?PageSize=-1":                               {400, 20001, ""},
		"/Conferences.json?PageSize=ten":                              {400, 20001, ""},
		"/Conferences.json?PageSize=99999999999999999999":             {400, 20001, ""},
		"/Conferences.json?Page=-1":                                   {400, 20001, "Bad request: Page must be a whole number, from 0"},
		"/Conferences.json?Page=9999999999":                           {400, 20001, ""},
		"/Conferences.json?PageToken=PA":                              {400, 20001, "Bad request: PageToken is not valid"},
		"/Conferences.json?PageToken=PX" + sid("CF", 1):               {400, 20001, ""},
		"/Conferences.json?PageToken=PA" + sid("CF", 9):               {400, 20001, ""},
		"/Conferences.json?PageToken=PA" + sid("CA", 1):               {400, 20001, ""},
		conference + "/Participants.json?PageToken=PA" + sid("CA", 9): {400, 20001, ""},
		"/Conferences.json?Status=ended":                              {400, 20001, "Bad request: Status must be init, in-progress or completed"},
		"/Conferences.json?DateCreated=2026-08-01T00:00:00Z":          {400, 20001, "Bad request: DateCreated must be a date, YYYY-MM-DD"},
		"/Conferences.json?DateCreated%3C=yesterday":                  {400, 20001, ""},
		"/Conferences.json?DateCreated=%3D2026-08-01":                 {400, 20001, ""},
		"/Conferences.json?DateUpdated%3E=2026-02-30":                 {400, 20001, ""},
		"/Conferences.json?FriendlyName=%zz":                          {400, 20001, "Bad request: the query cannot be decoded"},
		conference + "/Participants.json?Muted=yes":                   {400, 20001, "Bad request: Muted must be true or false"},
		conference + "/Participants.json?GavelHistory=1":              {400, 20001, ""},
		conference + "/Recordings.json?DateCreated=2026":              {400, 20001, ""},
	} {
		a := s.get(path)
		checkFault(t, path, a, want.status, want.code, want.message)
	}
}

// checkFault compares an answer with Twilio's error body; an empty message is not compared.
func checkFault(t *testing.T, path string, a answer, status, code int, message string) {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Errorf("%s: %v: %s", path, err, a.body)
		return
	}
	if message == "" {
		message, _ = body["message"].(string)
	}
	want := map[string]any{
		"code": float64(code), "status": float64(status), "message": message,
		"more_info": "https://www.twilio.com/docs/errors/" + jsonNumber(code),
	}
	if diff := cmp.Diff(want, body); a.status != status || diff != "" {
		t.Errorf("%s: %d (-want +got):\n%s", path, a.status, diff)
	}
}

func jsonNumber(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestAnswersHaveTwiliosHeaders(t *testing.T) {
	t.Parallel()
	s := start(t, fullRoom())
	seen := map[string]bool{}
	for _, path := range append(routes, "/Conferences/none.json") {
		h := s.get(path).header
		for name, want := range map[string]string{
			"Content-Type":            `^application/json;charset=utf-8$`,
			"Cache-Control":           `^no-store$`,
			"X-Content-Type-Options":  `^nosniff$`,
			"Twilio-Request-Id":       `^RQ[0-9a-f]{32}$`,
			"Twilio-Request-Duration": `^[0-9]+\.[0-9]{3}$`,
		} {
			if !regexp.MustCompile(want).MatchString(h.Get(name)) {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
		if id := h.Get("Twilio-Request-Id"); seen[id] {
			t.Errorf("%s: request id %s was used twice", path, id)
		} else {
			seen[id] = true
		}
	}
}

func TestARequestWithoutValidCredentialsIsA401(t *testing.T) {
	t.Parallel()
	s := start(t, fullRoom())
	for _, path := range append(routes, "/Calls.json", "/Conferences") {
		for _, who := range [][2]string{{"", ""}, {account, ""}, {account, "wrong"}, {"x", token}, {sid("SK", 1), token}} {
			a := s.do(http.MethodGet, accounts+account+path, who[0], who[1])
			checkFault(t, path, a, 401, 20003, "Authenticate")
			if a.header.Get("WWW-Authenticate") != `Basic realm="Twilio API"` {
				t.Errorf("%s: %q", path, a.header.Get("WWW-Authenticate"))
			}
		}
	}
}

// Each resource is requested with every kind of credentials: of its own account, a key for the
// account, a key for all accounts, and those that must get a 404.
func TestAnotherAccountGetsA404(t *testing.T) {
	t.Parallel()
	s := start(t, fullRoom())
	key := func(accounts ...string) [2]string {
		k, secret, err := s.keys.Create(t.Context(), "test", keys.Viewer, accounts)
		if err != nil {
			t.Fatal(err)
		}
		return [2]string{k.Sid, secret}
	}
	for _, path := range routes {
		for name, c := range map[string]struct {
			credentials [2]string
			account     string
			status      int
		}{
			"the account itself":               {[2]string{account, token}, account, 200},
			"a key for it":                     {key(account), account, 200},
			"a key for both":                   {key(account, foreign), account, 200},
			"a key for all":                    {key(), account, 200},
			"another account":                  {[2]string{foreign, itsTokens}, account, 404},
			"a key for another account":        {key(foreign), account, 404},
			"its own path in capitals":         {[2]string{account, token}, strings.ToUpper(account), 200},
			"another account's path in theirs": {[2]string{account, token}, foreign, 404},
		} {
			a := s.do(http.MethodGet, accounts+c.account+path, c.credentials[0], c.credentials[1])
			if a.status != c.status {
				t.Errorf("%s as %s: %d, want %d", path, name, a.status, c.status)
			}
			if c.status == 404 && strings.Contains(a.body, "agent\"") {
				t.Errorf("%s as %s returns: %s", path, name, a.body)
			}
		}
		// A conference belongs to one account; the other gets a 404 even for its SID.
		if path == routes[0] {
			continue
		}
		a := s.do(http.MethodGet, accounts+foreign+path, foreign, itsTokens)
		checkFault(t, path, a, 404, 20404, "")
	}
}

func TestSidsMayBeInEitherLetterCase(t *testing.T) {
	t.Parallel()
	c := fullRoom()
	c.ConferenceSid, c.Participants[0].CallSid, c.Recordings[0].Sid = sid("CF", 0xabc), sid("CA", 0xabc), sid("RE", 0xabc)
	s := start(t, c)
	shout := func(prefix string) string { return strings.ToUpper(sid(prefix, 0xabc)) }
	conference := "/Conferences/" + shout("CF")
	for _, path := range []string{
		"/Conferences.json",
		conference + ".json",
		conference + "/Participants.json",
		conference + "/Participants/" + shout("CA") + ".json",
		conference + "/Recordings/" + shout("RE") + ".json",
	} {
		a := s.do(http.MethodGet, accounts+strings.ToLower(account)+path, strings.ToLower(account), token)
		if a.status != http.StatusOK || !strings.Contains(a.body, accounts+account+"/Conferences/"+c.ConferenceSid) {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := s.get("/Conferences.json?PageToken=PA" + shout("CF")); a.status != http.StatusOK {
		t.Errorf("page token: %d %s", a.status, a.body)
	}
}

func TestUnsupportedMethodsAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, fullRoom())
	const list, update, all = "GET, HEAD", "GET, HEAD, POST", "GET, HEAD, POST, DELETE"
	for i, allowed := range []string{list, update, update, all, list, all} {
		path := accounts + account + routes[i]
		for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodPut, http.MethodPatch, http.MethodOptions} {
			if strings.Contains(allowed, method) {
				continue
			}
			a := s.do(method, path, account, token)
			message := "Method not allowed"
			if method == http.MethodPost && strings.HasSuffix(path, "/Recordings.json") {
				message += ": Twilio's API starts no recording of an existing conference; set record in its TwiML, or ConferenceRecord when you add a participant"
			}
			checkFault(t, method+" "+path, a, 405, 20004, message)
			if a.header.Get("Allow") != allowed {
				t.Errorf("%s %s: Allow %q", method, path, a.header.Get("Allow"))
			}
		}
		if a := s.do(http.MethodHead, path, account, token); a.status != http.StatusOK || a.body != "" {
			t.Errorf("HEAD %s: %d %q", path, a.status, a.body)
		}
	}
}

// A picture that is not complete is never answered with 404, because a client
// would take that for a fact.
func TestALostPictureIsA503(t *testing.T) {
	t.Parallel()
	s := start(t, fullRoom())
	s.redis.Empty()
	for _, path := range append(routes, "/Conferences/"+sid("CF", 2)+".json") {
		a := s.get(path)
		checkFault(t, path, a, 503, 20503, "")
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
	s.fill([]*projections.Conference{fullRoom()})
	if a := s.get(routes[1]); a.status != http.StatusOK {
		t.Errorf("filled again: %d %s", a.status, a.body)
	}
}

// away is the picture in a Redis that does not answer.
type away struct{ projections.Reader }

func (away) Conference(context.Context, events.Key) (projections.Stored, error) {
	return projections.Stored{}, fmt.Errorf("read conference: %w: i/o timeout", projections.ErrUnreachable)
}

func (away) Conferences(context.Context, string, projections.Query) (projections.Page, error) {
	return projections.Page{}, fmt.Errorf("list conferences: %w: i/o timeout", projections.ErrUnreachable)
}

// An operator who reads "is being filled" would look for the cause in the wrong place.
func TestA503NamesRedisAsItsCause(t *testing.T) {
	t.Parallel()
	s := start(t, fullRoom())
	s.serve(away{s.store})
	for _, path := range routes {
		a := s.get(path)
		checkFault(t, path, a, 503, 20503, "Service unavailable: Redis does not answer, so Gavel's picture cannot be read; retry soon")
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
}

// slow is a store that blocks until the test releases it.
type slow struct {
	projections.Reader
	asked chan struct{}
	letGo chan struct{}
}

func (s slow) Conference(ctx context.Context, key events.Key) (projections.Stored, error) {
	s.asked <- struct{}{}
	<-s.letGo
	return s.Reader.Conference(ctx, key)
}

func TestReadsBeyondTheLimitAreA429(t *testing.T) {
	t.Parallel()
	s := start(t, fullRoom())
	reader := slow{s.store, make(chan struct{}), make(chan struct{})}
	s.serve(reader)
	const limit = 256
	statuses := make(chan int, limit)
	for range limit {
		go func() { statuses <- s.get(routes[1]).status }()
	}
	for range limit {
		<-reader.asked
	}
	a := s.get(routes[1])
	checkFault(t, "one too many", a, 429, 20429, "Too Many Requests")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	close(reader.letGo)
	for range limit {
		if status := <-statuses; status != http.StatusOK {
			t.Errorf("one of those in time got %d", status)
		}
	}
	go func() { <-reader.asked }()
	if a := s.get(routes[1]); a.status != http.StatusOK {
		t.Errorf("afterwards: %d", a.status)
	}
}
