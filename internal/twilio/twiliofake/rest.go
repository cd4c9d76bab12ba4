package twiliofake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// restPrefix begins every path of the REST API; the account follows.
const restPrefix = "/2010-04-01/Accounts/"

// maxForm bounds a request's form, in bytes.
const maxForm = 1 << 20

// Call is a kind of request to the REST API, for Weather and Tally.
type Call string

// The kinds of requests.
const (
	FetchAccount      Call = "fetch-account"
	ListNumbers       Call = "list-numbers"
	ListConferences   Call = "list-conferences"
	FetchConference   Call = "fetch-conference"
	EndConference     Call = "end"
	Announcement      Call = "announce"
	UpdateConference  Call = "update-conference" // without a change
	ListParticipants  Call = "list-participants"
	FetchParticipant  Call = "fetch-participant"
	AddParticipant    Call = "add-participant"
	UpdateParticipant Call = "update-participant"
	KickParticipant   Call = "kick"
	ListRecordings    Call = "list-recordings"
	FetchRecording    Call = "fetch-recording"
	UpdateRecording   Call = "update-recording"
	DeleteRecording   Call = "delete-recording"
	// NoCall is a request of another kind, or without valid credentials.
	NoCall Call = "none"
)

// Handler serves the part of Twilio's REST API (2010-04-01) about conferences, and the requests
// with which a client checks its credentials: the account itself and its phone numbers, an empty
// list. Requests take effect at once; their callbacks are sent while Run runs.
func (t *Twilio) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, underWay := t.desk.begin()
		defer t.desk.end()
		describe(w.Header(), id, underWay)
		if strings.HasPrefix(r.URL.Path, webhooksPrefix) && t.desk.authenticates(r) {
			t.sender.webhooks.serve(w, r)
			return
		}
		q, refusal := t.read(w, r)
		if refusal != nil {
			t.desk.asked(NoCall)
			refuse(w, refusal)
			return
		}
		t.serve(w, r, q)
	})
}

// query is one request with its parsed path.
type query struct {
	call       Call
	do         func(*Twilio, *query) (answer, *apiError)
	path       string // as received
	conference string // a ConferenceSid, or a name where that is allowed
	item       string // CallSid, label, RecordingSid or Twilio.CURRENT
	values     url.Values
}

// answer is the response to a request that is not refused; a nil body is an empty one.
type answer struct {
	status int
	body   any
}

func answered(body any) (answer, *apiError) { return answer{http.StatusOK, body}, nil }

func (t *Twilio) read(w http.ResponseWriter, r *http.Request) (*query, *apiError) {
	if !t.desk.authenticates(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="Twilio API"`) // the realm is not confirmed
		return nil, errUnauthorized
	}
	q := &query{path: r.URL.EscapedPath()}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, badRequest("The request cannot be read")
	}
	if q.values = r.URL.Query(); r.Method == http.MethodPost {
		q.values = r.PostForm
	}
	return q, t.route(r.Method, q)
}

// route finds the resource of the path.
func (t *Twilio) route(method string, q *query) *apiError {
	path, suffixed := strings.CutSuffix(strings.TrimPrefix(q.path, restPrefix), ".json")
	parts := strings.Split(path, "/")
	if !suffixed || len(parts) > 5 { // the fake supports only JSON
		return notFound(q.path)
	}
	for i, part := range parts {
		var err error
		if parts[i], err = url.PathUnescape(part); err != nil {
			return notFound(q.path)
		}
	}
	if parts[0] != t.accountSid {
		return notFound(q.path)
	}
	methods, ok := resources[shape(parts)]
	if !ok {
		return notFound(q.path)
	}
	e, ok := methods[method]
	parts = append(parts, "", "", "", "")
	q.conference, q.item = parts[2], parts[4]
	named := e.named || q.conference == ""
	if !ok || !named && !likeAConferenceSid.MatchString(q.conference) {
		return errMethod // also for a name in place of a ConferenceSid
	}
	q.do, q.call = e.do, e.call(q.values)
	return nil
}

var likeAConferenceSid = regexp.MustCompile(`^CF[0-9a-fA-F]{32}$`)

// shape is a path without its SIDs, labels and names.
func shape(parts []string) string {
	named := append([]string(nil), parts[1:]...)
	for i := 1; i < len(named); i += 2 {
		named[i] = "*"
	}
	return strings.Join(named, "/")
}

// endpoint is what a method does with a resource.
type endpoint struct {
	call  func(url.Values) Call
	do    func(*Twilio, *query) (answer, *apiError)
	named bool // the conference may be named by its friendly name
}

func always(c Call) func(url.Values) Call { return func(url.Values) Call { return c } }

// resources are all endpoints, by the shape of their path and by method.
var resources = map[string]map[string]endpoint{
	"":                     {"GET": {call: always(FetchAccount), do: (*Twilio).fetchAccount}},
	"IncomingPhoneNumbers": {"GET": {call: always(ListNumbers), do: (*Twilio).listNumbers}},
	"Conferences":          {"GET": {call: always(ListConferences), do: (*Twilio).listConferences}},
	"Conferences/*": {
		"GET":  {call: always(FetchConference), do: (*Twilio).fetchConference},
		"POST": {call: conferenceCall, do: (*Twilio).updateConference},
	},
	"Conferences/*/Participants": {
		"GET":  {call: always(ListParticipants), do: (*Twilio).listParticipants},
		"POST": {call: always(AddParticipant), do: (*Twilio).addParticipant, named: true},
	},
	"Conferences/*/Participants/*": {
		"GET":    {call: always(FetchParticipant), do: (*Twilio).fetchParticipant},
		"POST":   {call: always(UpdateParticipant), do: (*Twilio).updateParticipant},
		"DELETE": {call: always(KickParticipant), do: (*Twilio).kickParticipant},
	},
	"Conferences/*/Recordings": {"GET": {call: always(ListRecordings), do: (*Twilio).listRecordings}},
	"Conferences/*/Recordings/*": {
		"GET":    {call: always(FetchRecording), do: (*Twilio).fetchRecording},
		"POST":   {call: always(UpdateRecording), do: (*Twilio).updateRecording},
		"DELETE": {call: always(DeleteRecording), do: (*Twilio).deleteRecording},
	},
}

// serve answers a request under the current weather.
func (t *Twilio) serve(w http.ResponseWriter, r *http.Request, q *query) {
	t.desk.asked(q.call)
	if t.desk.crowded() {
		refuse(w, errTooMany)
		return
	}
	weather := t.desk.weatherFor(q.call)
	if !t.wait(r, weather.Delay) {
		return
	}
	var reply answer
	var refusal *apiError
	if weather.carriesOut() {
		reply, refusal = t.carryOut(q)
	}
	switch {
	case weather.Silent:
		select {
		case <-r.Context().Done():
		case <-t.closed:
		}
		panic(http.ErrAbortHandler) // closes the connection without an answer
	case weather.Status != 0:
		weather.refuse(w)
	case refusal != nil:
		refuse(w, refusal)
	default:
		write(w, reply)
	}
}

// wait waits for the time of a slow request, and reports whether the client
// still waits for the answer.
func (t *Twilio) wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	select {
	case <-t.clock.After(d):
		return true
	case <-r.Context().Done():
		return false
	case <-t.closed:
		return true
	}
}

func (t *Twilio) carryOut(q *query) (answer, *apiError) {
	t.mu.Lock()
	defer t.mu.Unlock()
	reply, refusal := q.do(t, q)
	status := reply.status
	if refusal == nil {
		t.desk.did(q.call)
	} else {
		status = refusal.Status
	}
	t.postAPIRequest(q, status)
	return reply, refusal
}

// describe sets the headers that captured answers have.
func describe(h http.Header, id string, concurrent int) {
	h.Set("Twilio-Request-Id", id)
	h.Set("Twilio-Request-Duration", "0.010")
	h.Set("Twilio-Concurrent-Requests", strconv.Itoa(concurrent))
	h.Set("X-Home-Region", "us1")
	h.Set("X-Api-Domain", "api.twilio.com")
}

func refuse(w http.ResponseWriter, r *apiError) {
	write(w, answer{r.Status, map[string]any{
		"code":      r.Code,
		"message":   r.Message,
		"more_info": fmt.Sprintf("https://www.twilio.com/docs/errors/%d", r.Code),
		"status":    r.Status,
	}})
}

func write(w http.ResponseWriter, a answer) {
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(a.status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(a.body) // the client may have disconnected
}

// uri is the path of a resource of the account, as answers contain it.
func (t *Twilio) uri(parts ...string) string {
	return restPrefix + strings.Join(append([]string{t.accountSid}, parts...), "/") + ".json"
}

// orNull is JSON's null for an empty text.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func (t *Twilio) fetchAccount(*query) (answer, *apiError) {
	return answered(map[string]any{
		"sid":               t.accountSid,
		"owner_account_sid": t.accountSid,
		"friendly_name":     "Stand-in",
		"status":            "active",
		"type":              "Full",
		"date_created":      timestamp(t.opened),
		"date_updated":      timestamp(t.opened),
		"uri":               restPrefix + t.accountSid + ".json",
		"subresource_uris":  map[string]string{"conferences": t.uri("Conferences")},
	})
}

func (t *Twilio) listNumbers(q *query) (answer, *apiError) {
	return list[struct{}]{key: "incoming_phone_numbers"}.answer(q)
}
