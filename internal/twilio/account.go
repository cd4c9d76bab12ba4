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
	// Parent is the AccountSid of the account whose subaccount it is, if that account's tokens open
	// this one too; empty otherwise. It is never inferred.
	Parent string
	// Tokens are its auth tokens around a rotation, and MoreTokens further ones. Without a
	// token the account needs a shared key.
	Tokens     KeyRing
	MoreTokens []Token
	// SharedKeys sign where a rule of Twilio's Webhooks API says so (Docs: "Webhook shared
	// keys"), during a migration beside the tokens on the same URL.
	SharedKeys []SharedKey
	// Regions are the regions of Twilio beside the home region, with their own tokens.
	Regions []Region
	// CallbackQueries are the complete, raw query strings that its callback
	// URLs may have ("queue=sales"), or patterns of them ("call=*"): see CheckQuery.
	CallbackQueries []string
	// APIKey is for calls to Twilio; optional.
	APIKey APIKey

	sha1, sha256 *ring // by the algorithm of the signature
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

// prepared returns a checked copy of the account that is ready to verify. Its
// errors hold no secret.
func (a Account) prepared() (*Account, error) {
	var faults []error
	if !events.IsSid("AC", a.Sid) {
		faults = append(faults, errors.New("sid is not AC and 32 hex digits"))
	}
	if a.Parent != "" && !events.IsSid("AC", a.Parent) {
		faults = append(faults, errors.New("parent is not AC and 32 hex digits"))
	}
	a.Sid, a.Parent = events.CanonicalSid(a.Sid), events.CanonicalSid(a.Parent)
	faults = append(faults, a.checkKeys(), a.APIKey.check())
	a.APIKey.Sid = events.CanonicalSid(a.APIKey.Sid)
	a.CallbackQueries = slices.Clone(a.CallbackQueries)
	for i, q := range a.CallbackQueries {
		if err := checkQuery(q); err != nil {
			faults = append(faults, fmt.Errorf("callback query %d %w", i+1, err))
		}
	}
	a.sha1, a.sha256 = a.rings()
	return &a, errors.Join(faults...)
}

func (k APIKey) check() error {
	switch {
	case k == APIKey{}:
		return nil
	case !events.IsSid("SK", k.Sid):
		return errors.New("API key's sid is not SK and 32 hex digits")
	case k.Secret == "":
		return fmt.Errorf("API key's secret %w", ErrNoSecret)
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
	return checkPattern(params)
}
