package callback_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gavel/events"
	"gavel/handlers/callback"
	"gavel/internal/logtest"
	"gavel/internal/twilio"
)

// HTTP, signatures, parsing, logs and metrics are real here. The journal and the dead letters are
// lists in memory; the guarantees of the real ones are tested in their own packages.

const (
	account    = "AC25e16e9a716a4a8617a7c83f58e30482"
	other      = "AC0123456789abcdef0123456789abcdef"
	conference = "CFe08c870b500f6e44a9ad184defd1f391"
	call       = "CA25e16e9a716a4a1786a7c83f58e30482"
	token      = "12345abcdef67890fedcba0987654321"
	otherToken = "fedcba0987654321fedcba0987654321"
	public     = "https://hooks.example.com"
)

var now = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// journal keeps entries in memory. If fail is set, it decides what Append returns.
type journal struct {
	mu      sync.Mutex
	entries []events.Entry
	sids    []string
	fail    func(ctx context.Context, e events.Entry) error
}

func (j *journal) Append(ctx context.Context, conferenceSid string, e events.Entry) error {
	j.mu.Lock()
	fail := j.fail
	j.mu.Unlock()
	if fail != nil {
		if err := fail(ctx, e); err != nil {
			return err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, e)
	j.sids = append(j.sids, conferenceSid)
	return nil
}

// drain returns the entries of the journal and empties it.
func (j *journal) drain() []events.Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	entries := j.entries
	j.entries, j.sids = nil, nil
	return entries
}

func (j *journal) failWith(fail func(ctx context.Context, e events.Entry) error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fail = fail
}

// letters keeps dead letters in memory.
type letters struct {
	mu   sync.Mutex
	list []events.DeadLetter
	fail error
	hang bool // never returns
}

func (l *letters) Put(ctx context.Context, d events.DeadLetter) error {
	if l.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return l.fail
	}
	l.list = append(l.list, d)
	return nil
}

func (l *letters) drain() []events.DeadLetter {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}

// world is a door with its surroundings.
type world struct {
	door    *callback.Door
	journal *journal
	letters *letters
	log     *logtest.Text
	metrics *prometheus.Registry
}

func newWorld(t testing.TB, change ...func(*callback.Config)) *world {
	t.Helper()
	accounts, err := twilio.NewAccounts([]twilio.Account{
		{Sid: account, Tokens: twilio.KeyRing{Current: token}, CallbackQueries: []string{"queue=sales", "queue=support", "callId=*"}},
		{Sid: other, Tokens: twilio.KeyRing{Current: otherToken}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{journal: &journal{}, letters: &letters{}, log: &logtest.Text{}, metrics: prometheus.NewRegistry()}
	cfg := callback.Config{
		PublicURL: public, Accounts: accounts, Journal: w.journal, DeadLetters: w.letters,
		Log: slog.New(slog.NewTextHandler(w.log, nil)), Metrics: callback.NewMetrics(w.metrics),
		Now: func() time.Time { return now },
	}
	for _, c := range change {
		c(&cfg)
	}
	if w.door, err = callback.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.door.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close the door: %v", err)
		}
	})
	return w
}

// counted returns the value of a counter.
func (w *world) counted(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (len(labels) == 0 || m.GetLabel()[0].GetValue() == labels[0]) {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// exposition returns all metrics as text.
func (w *world) exposition(t *testing.T) string {
	t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range families {
		text.WriteString(f.String() + "\n")
	}
	return text.String()
}

// join is a participant-join with changes; "-" removes a parameter.
func join(changes ...string) url.Values {
	form := url.Values{
		"Coaching": {"false"}, "FriendlyName": {"Support 7"}, "ParticipantLabel": {"agent|user-1"},
		"EndConferenceOnExit": {"false"}, "StatusCallbackEvent": {"participant-join"},
		"Timestamp": {"Thu, 14 Jan 2021 00:25:01 +0000"}, "StartConferenceOnEnter": {"true"},
		"AccountSid": {account}, "SequenceNumber": {"1"}, "ConferenceSid": {conference},
		"CallSid": {call}, "Hold": {"false"}, "Muted": {"false"},
	}
	for i := 0; i < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
		if changes[i+1] == "-" {
			form.Del(changes[i])
		}
	}
	return form
}

// params returns the form as Sign needs it.
func params(t testing.TB, form string) events.Params {
	t.Helper()
	p, err := events.ParseForm(form, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// post signs a form and sends it.
func (w *world) post(t testing.TB, target string, form url.Values) *http.Response {
	t.Helper()
	body := form.Encode()
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set(twilio.SignatureHeader, twilio.Sign(token, public+target, params(t, body)))
	return w.send(r)
}

func (w *world) send(r *http.Request) *http.Response {
	recorder := httptest.NewRecorder()
	w.door.ServeHTTP(recorder, r)
	return recorder.Result()
}

func wantStatus(t testing.TB, resp *http.Response, want int) {
	t.Helper()
	if resp.StatusCode != want {
		t.Errorf("got %d, want %d", resp.StatusCode, want)
	}
	if body, _ := io.ReadAll(resp.Body); len(body) > 0 && want != http.StatusNotFound {
		t.Errorf("the response has a body: %q", body)
	}
}

func newLog(w *world) *slog.Logger { return slog.New(slog.NewTextHandler(w.log, nil)) }

func newMetrics() *callback.Metrics { return callback.NewMetrics(prometheus.NewRegistry()) }
