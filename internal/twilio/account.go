package twilio

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gavel/events"
)

// Account is one account or subaccount whose callbacks are accepted.
type Account struct {
	// Sid is AC and 32 hex digits.
	Sid string
	// Tokens are the keys of its callbacks' signatures.
	Tokens KeyRing
	// CallbackQueries are the complete, raw query strings that its callback
	// URLs may have ("queue=sales").
	CallbackQueries []string
	// APIKey is for calls to Twilio; optional.
	APIKey APIKey

	ring []*signer
}

// KeyRing holds an account's auth tokens around a rotation. Twilio signs only
// with the primary token; promoting the secondary makes it the primary at once,
// which a receiver cannot time to the second. So the next token is accepted
// before the promotion, and the previous one for some time after.
type KeyRing struct {
	Current, Next, Previous Secret
}

// APIKey is a key for Twilio's REST API.
type APIKey struct {
	Sid    string // SK and 32 hex digits
	Secret Secret
}

// KeyName names the key of a ring that matched.
type KeyName string

// The keys of a ring.
const (
	Current  KeyName = "current"
	Next     KeyName = "next"
	Previous KeyName = "previous"
)

// ListsQuery reports whether rawQuery is one of the account's callback queries.
func (a *Account) ListsQuery(rawQuery string) bool {
	return slices.Contains(a.CallbackQueries, rawQuery)
}

// prepared returns a checked copy of the account that is ready to verify. Its
// errors hold no secret.
func (a Account) prepared() (*Account, error) {
	var faults []error
	if !events.IsSid("AC", a.Sid) {
		faults = append(faults, errors.New("sid is not AC and 32 hex digits"))
	}
	a.Sid = events.CanonicalSid(a.Sid)
	faults = append(faults, a.Tokens.check(), a.APIKey.check())
	a.CallbackQueries = slices.Clone(a.CallbackQueries)
	for i, q := range a.CallbackQueries {
		if err := checkQuery(q); err != nil {
			faults = append(faults, fmt.Errorf("callback query %d %w", i+1, err))
		}
	}
	a.ring = a.Tokens.signers()
	return &a, errors.Join(faults...)
}

func (r KeyRing) all() [3]Secret { return [3]Secret{r.Current, r.Next, r.Previous} }

func (r KeyRing) check() error {
	if r.Current == "" {
		return errors.New("current auth token is missing")
	}
	for _, token := range r.all() {
		if strings.TrimSpace(token.Reveal()) != token.Reveal() {
			return errors.New("auth token has space around it")
		}
	}
	return nil
}

// signers returns a signer for each token that is set: with an empty key, any sender could sign.
func (r KeyRing) signers() []*signer {
	var ring []*signer
	for i, token := range r.all() {
		if token != "" {
			ring = append(ring, newSigner([]KeyName{Current, Next, Previous}[i], token))
		}
	}
	return ring
}

func (k APIKey) check() error {
	switch {
	case k == APIKey{}:
		return nil
	case !events.IsSid("SK", k.Sid):
		return errors.New("API key's sid is not SK and 32 hex digits")
	case k.Secret == "":
		return errors.New("API key's secret is missing")
	}
	return nil
}

// checkQuery refuses queries that could be confused with Twilio's own parameters.
func checkQuery(q string) error {
	params, err := events.ParseForm(q, events.MaxParams)
	switch {
	case q == "":
		return errors.New("is empty")
	case err != nil:
		return err
	case strings.ContainsAny(q, "?# "):
		return errors.New("holds a question mark, a hash or a space")
	}
	for _, p := range params {
		if p.Name == "AccountSid" || p.Name == bodyHashName {
			return fmt.Errorf("holds Twilio's own %s", p.Name)
		}
	}
	return nil
}
