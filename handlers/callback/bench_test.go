package callback_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"gavel/events"
	"gavel/handlers/callback"
	"gavel/internal/twilio"
)

// nowhere is a journal whose append does nothing.
type nowhere struct{}

func (nowhere) Append(context.Context, string, events.Entry) error { return nil }

// answer is a ResponseWriter without cost.
type answer struct {
	header http.Header
	status int
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) Write(b []byte) (int, error) { return len(b), nil }
func (a *answer) WriteHeader(status int)      { a.status = status }

// body is a request body that can be read again.
type body struct{ strings.Reader }

func (*body) Close() error { return nil }

// BenchmarkDoor measures the cost of the door beyond a bare handler: reading,
// checking and parsing a callback of 15 parameters, without the journal.
func BenchmarkDoor(b *testing.B) {
	four := twilio.Account{Sid: account, Tokens: twilio.KeyRing{Current: "1", Next: "2", Previous: "3"}, MoreTokens: []twilio.Token{{Name: "4", Secret: token}}}
	for _, id := range []twilio.KeyName{"a", "b", "c", "d"} {
		four.SharedKeys = append(four.SharedKeys, twilio.SharedKey{ID: id, Secret: twilio.Secret("secret-" + id)})
	}
	for name, a := range map[string]twilio.Account{
		"one token":                        {Sid: account, Tokens: twilio.KeyRing{Current: token}},
		"four tokens and four shared keys": four,
	} {
		b.Run(name, func(b *testing.B) { benchmarkDoor(b, a) })
	}
}

func benchmarkDoor(b *testing.B, a twilio.Account) {
	w := newWorld(b, func(cfg *callback.Config) {
		cfg.Journal = nowhere{}
		var err error
		if cfg.Accounts, err = twilio.NewAccounts([]twilio.Account{a}); err != nil {
			b.Fatal(err)
		}
	})
	form := join("StatusCallbackEvent", "participant-leave", "ReasonParticipantLeft", "participant_hung_up",
		"ParticipantCallStatus", "completed").Encode()
	u, err := url.Parse(callback.ConferencePath)
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, callback.ConferencePath, nil)
	r.URL, r.ContentLength = u, int64(len(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set(twilio.SignatureHeader, twilio.Sign(token, public+callback.ConferencePath, params(b, form)))
	answered, sent := &answer{header: http.Header{}}, &body{}
	b.ReportAllocs()
	for b.Loop() {
		sent.Reset(form)
		r.Body = sent
		w.door.ServeHTTP(answered, r)
		if answered.status != http.StatusNoContent {
			b.Fatal(answered.status)
		}
	}
}
