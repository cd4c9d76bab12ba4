package failover_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"gavel/events"
	"gavel/internal/twilio/twiliofake"
	"gavel/rules"
)

// ruled is a world in which rules act. It includes Twilio, whose callbacks reach Gavel through a
// switchboard and whose API Gavel calls through a desk that records requests.
type ruled struct {
	*world
	twilio *twiliofake.Twilio
	board  *switchboard
	desk   *desk
	gavels []*gavel // the first one has the first API key
}

func newRuled(t *testing.T) *ruled {
	t.Helper()
	return ruledIn(newWorld(t, shape{lanes: 2}))
}

// ruledIn adds Twilio to a world.
func ruledIn(w *world) *ruled {
	t := w.t
	t.Helper()
	r := &ruled{world: w, board: newSwitchboard(t)}
	r.twilio = twiliofake.New(twiliofake.Config{
		AccountSid: account, AuthToken: token, FetchAnnouncements: true,
		Status: twiliofake.Subscription{URL: r.board.url + "/twilio/conference#rc=5&rp=all"},
	})
	r.desk = newDesk(t, r.twilio.Handler())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.twilio.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

// gavel starts a process that Twilio can reach and that can call Twilio.
// Without rule files it follows the rules of other processes.
func (r *ruled) gavel(roles, rules string) *gavel {
	r.t.Helper()
	more := []string{"--public-url", r.board.url, "--twilio-api", r.desk.url}
	if rules != "" {
		more = append(more, "--rules", rules)
	}
	g := r.world.gavel(roles, more...)
	if roles == "all" || strings.Contains(roles, "door") {
		r.board.leads(g)
	}
	r.gavels = append(r.gavels, g)
	return g
}

// ruleFile writes a new rule file.
func (r *ruled) ruleFile(text string) (path string) {
	r.t.Helper()
	path = filepath.Join(r.t.TempDir(), "rules.yaml")
	rewrite(r.t, path, text)
	return path
}

func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// plays runs a story.
func (r *ruled) plays(s *twiliofake.Story) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	if err := s.Plays(ctx); err != nil {
		r.t.Fatal(err)
	}
}

// leavesAlone plans calls in which the agent hangs up and the customer stays.
func leavesAlone(s *twiliofake.Story, rooms ...string) (customers []*twiliofake.Caller) {
	for _, room := range rooms {
		customers = append(customers, s.Customer("customer").Calls(room))
		s.Agent("ana").Answers(room).HangsUp()
	}
	return customers
}

// roomNames returns n names.
func roomNames(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", prefix, i+1)
	}
	return names
}

// cli runs a command of Gavel against a process, with the first key.
func (r *ruled) cli(g *gavel, args ...string) string {
	r.t.Helper()
	return r.command(append(args, "--server", g.url, "--data-dir", r.gavels[0].dataDir())...)
}

func (r *ruled) command(args ...string) string {
	r.t.Helper()
	command := exec.CommandContext(r.t.Context(), r.binary(r.t), args...)
	command.Env = []string{}
	out, err := command.CombinedOutput()
	if err != nil {
		r.t.Fatalf("gavel %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// dataDir returns the process's own directory.
func (g *gavel) dataDir() string {
	args := g.command.Args
	return args[slices.Index(args, "--data-dir")+1]
}

// alive returns the processes that have not exited.
func (r *ruled) alive() (all []*gavel) {
	for _, g := range r.gavels {
		select {
		case <-g.ended:
		default:
			all = append(all, g)
		}
	}
	return all
}

// waits returns how many tries had to wait for that reason, in all processes.
func (r *ruled) waits(why string) (n int) {
	r.t.Helper()
	for _, g := range r.alive() {
		_, body, err := g.get("/metrics")
		if err != nil {
			r.t.Fatal(err)
		}
		for line := range bytes.Lines(body) {
			var tries int
			if _, err := fmt.Sscanf(string(line), `gavel_action_waits_total{why="`+why+`"} %d`, &tries); err == nil {
				n += tries
			}
		}
	}
	return n
}

// deed is a decision and its results in the journal. Outcomes with the same result count once: a
// lost acknowledgement can cause an entry to be appended twice.
type deed struct {
	rules.Decision
	at    events.Position
	lane  int
	ended []string // results
}

// how returns the result, or the verdict if no action was needed.
func (d deed) how() string {
	if d.Verdict != rules.Act {
		return string(d.Verdict)
	}
	return strings.Join(d.ended, ",")
}

// deeds returns a rule's decisions with that step, in order.
func (r *ruled) deeds(rule string, do rules.StepKind) []deed {
	r.t.Helper()
	kept, _, err := r.bus.Actions().Before(r.t.Context(), events.Key{}, 0, 2000)
	if err != nil {
		r.t.Fatal(err)
	}
	ended := r.endings()
	var all []deed
	for _, one := range slices.Backward(kept) {
		d := deed{at: one.Position, lane: one.Lane, ended: slices.Sorted(maps.Keys(ended[one.ID]))}
		if err := json.Unmarshal(one.Data, &d.Decision); err != nil {
			r.t.Fatal(err)
		}
		if d.Rule == rule && d.Do == do {
			all = append(all, d)
		}
	}
	return all
}

// end waits until a rule's steps of that kind have ended in these ways, in any
// order, and returns them.
func (r *ruled) end(rule string, do rules.StepKind, ways map[string]int) []deed {
	r.t.Helper()
	var all []deed
	eventually(r.t, func() string {
		all = r.deeds(rule, do)
		if got := count(all); !maps.Equal(got, ways) {
			return fmt.Sprintf("%s %s ended in these ways: %v, want %v", rule, do, got, ways)
		}
		return ""
	})
	return all
}

func count(all []deed) map[string]int {
	ways := map[string]int{}
	for _, d := range all {
		ways[d.how()]++
	}
	return ways
}

// nothingDone is the expectation for rules that decided nothing.
var nothingDone = map[string]int{}

// of returns the deeds in a conference.
func of(all []deed, conferenceSid string) (own []deed) {
	for _, d := range all {
		if d.ConferenceSid == conferenceSid {
			own = append(own, d)
		}
	}
	return own
}

// healed returns the facts of a conference that no callback reported, by kind and leg.
func (r *ruled) healed(conferenceSid string) (facts []string) {
	r.t.Helper()
	r.journal(events.HealedFact, func(_ int, _ events.Position, e *events.Event) error {
		h, err := e.Healed()
		if h.Key.ConferenceSid == conferenceSid {
			facts = append(facts, string(h.Fact)+" "+h.CallSid)
		}
		return err
	})
	return facts
}

// loads holds the sets of rules that came into force, in the order of each
// lane: their versions and their positions.
type loads struct {
	versions [][]string
	at       [][]events.Position
}

func (r *ruled) loads() loads {
	r.t.Helper()
	l := loads{make([][]string, r.lanes), make([][]events.Position, r.lanes)}
	r.journal(events.RulesLoaded, func(lane int, at events.Position, e *events.Event) error {
		load, err := e.Load()
		l.versions[lane] = append(l.versions[lane], load.Version)
		l.at[lane] = append(l.at[lane], at)
		return err
	})
	return l
}

// inForce waits until exactly these versions came into force in every lane, one after the other.
func (r *ruled) inForce(versions ...string) loads {
	r.t.Helper()
	var l loads
	eventually(r.t, func() string {
		l = r.loads()
		for lane, got := range l.versions {
			if !slices.Equal(got, versions) {
				return fmt.Sprintf("in lane %d the versions %v came into force, want %v", lane, got, versions)
			}
		}
		return ""
	})
	return l
}

// version returns the one in force at a position of a lane.
func (l loads) version(lane int, at events.Position) (version string) {
	for i, load := range l.at[lane] {
		if at.After(load) {
			version = l.versions[lane][i]
		}
	}
	return version
}

// live returns how many legs of a conference the picture shows.
func (g *gavel) live(conferenceSid string) (legs int, err error) {
	var list struct{ Participants []struct{} }
	err = g.read("/2010-04-01/Accounts/"+account+"/Conferences/"+conferenceSid+"/Participants.json", &list)
	return len(list.Participants), err
}

// read fetches JSON from a process.
func (g *gavel) read(path string, into any) error {
	status, body, err := g.get(path)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s is answered %d: %s", path, status, body)
	}
	return json.Unmarshal(body, into)
}

// switchboard is the address at which Twilio reaches Gavel, whichever process is behind it. A
// callback that the test intercepts never arrives, and Twilio gets a 204 for it.
type switchboard struct {
	url     string
	forward *httputil.ReverseProxy

	mu        sync.Mutex
	door      *url.URL
	intercept func(form url.Values) bool
}

func newSwitchboard(t *testing.T) *switchboard {
	t.Helper()
	b := &switchboard{intercept: nothing}
	b.forward = &httputil.ReverseProxy{
		Rewrite:  func(p *httputil.ProxyRequest) { p.SetURL(b.leadsTo()) },
		ErrorLog: log.New(io.Discard, "", 0), // a stopped door is expected here
	}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

// leads routes callbacks to that process from now on.
func (b *switchboard) leads(g *gavel) {
	to, err := url.Parse(g.url)
	if err != nil {
		g.t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.door = to
}

func (b *switchboard) leadsTo() *url.URL {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.door
}

// nothing intercepts no callback, which is the default.
func nothing(url.Values) bool { return false }

// intercepts lets the test intercept callbacks from now on. intercept is called for one
// callback at a time.
func (b *switchboard) intercepts(intercept func(form url.Values) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.intercept = intercept
}

func (b *switchboard) intercepted(form url.Values) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.intercept(form)
}

// ServeHTTP forwards one request.
func (b *switchboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	form, malformed := url.ParseQuery(string(body))
	switch {
	case err != nil || malformed != nil:
		w.WriteHeader(http.StatusBadRequest)
	case b.intercepted(form):
		w.WriteHeader(http.StatusNoContent)
	case b.leadsTo() == nil:
		w.WriteHeader(http.StatusBadGateway)
	default:
		r.Body = io.NopCloser(bytes.NewReader(body))
		b.forward.ServeHTTP(w, r)
	}
}

// desk is in front of Twilio's API. It records the requests that change
// something, in the order of their arrival.
type desk struct {
	url string
	mu  sync.Mutex
	all []asked
}

// asked is one request to change something.
type asked struct {
	at   time.Time
	path string
}

// conference returns the conference that the request is about.
func (a asked) conference() string {
	_, rest, _ := strings.Cut(a.path, "/Conferences/")
	return rest[:min(len(rest), len("CF")+32)]
}

func newDesk(t *testing.T, api http.Handler) *desk {
	t.Helper()
	d := &desk{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			d.note(asked{time.Now(), r.URL.Path})
		}
		api.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

func (d *desk) note(a asked) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, a)
}

// list returns the requests so far.
func (d *desk) list() []asked {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.all)
}

// subscriber counts what rules publish, by id.
type subscriber struct {
	mu  sync.Mutex
	ids map[string]int
}

// subscribe subscribes before the story starts.
func (r *ruled) subscribe(subjects string) *subscriber {
	r.t.Helper()
	s := &subscriber{ids: map[string]int{}}
	conn, err := nats.Connect(urls(r.nats))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(conn.Close)
	if _, err = conn.Subscribe(subjects, s.receive); err == nil {
		err = conn.Flush()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (s *subscriber) receive(m *nats.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids[m.Header.Get(nats.MsgIdHdr)]++
}

// received returns how many notices arrived, each counted once.
func (s *subscriber) received() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ids)
}
