package twilio

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio's scheme for auth tokens
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"gavel/events"
)

// KeyName names a key of an account: a token's place in the rotation or its name, or the ID of a
// shared key. It is a label of metrics.
type KeyName string

// The keys of a KeyRing.
const (
	Current  KeyName = "current"
	Next     KeyName = "next"
	Previous KeyName = "previous"
)

// Token is an auth token with its name.
type Token struct {
	Name   KeyName
	Secret Secret
}

// SharedKey is a key of Twilio's Webhooks API. ID is webhooks_sharedkey_ and 26 characters. Twilio
// shows Secret once and uses its text as the HMAC's key (Docs: "Webhook shared keys").
type SharedKey struct {
	ID     KeyName
	Secret Secret
}

// Match is the key that made a signature.
type Match struct {
	Key KeyName
	// Region is the region of the key; empty for the home region, and for a shared key.
	Region string
}

// keyName keeps names and IDs short and safe in labels.
var keyName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// AuthTokens returns all auth tokens of the account, those of its regions last.
func (a *Account) AuthTokens() []Token {
	all := append(a.Tokens.All(), a.MoreTokens...)
	for _, r := range a.Regions {
		all = append(all, r.Tokens...)
	}
	return all
}

// KeyNames returns the names of all keys of the account.
func (a *Account) KeyNames() (names []KeyName) {
	for _, t := range a.AuthTokens() {
		names = append(names, t.Name)
	}
	for _, k := range a.SharedKeys {
		names = append(names, k.ID)
	}
	return names
}

// current returns the token for calls to Twilio and for signing; empty if the account has none.
func (a *Account) current() Secret {
	if a.Tokens.Current == "" && len(a.MoreTokens) > 0 {
		return a.MoreTokens[0].Secret
	}
	return a.Tokens.Current
}

// SettingsHeader names the shared key and the algorithm of a signature. Twilio does not sign it, so
// it decides nothing; it only explains why a signature was refused.
const SettingsHeader = "X-Twilio-Webhooks-Signature-Settings"

// Algorithms of signatures, as Twilio names them.
const (
	SHA1   = "HMAC_SHA1"
	SHA256 = "HMAC_SHA256"
)

// ReadSettings reads the value of SettingsHeader as npm twilio 6.3.1 does: parts are separated by
// commas, the first algorithm counts, and without one it is SHA1. algorithm is in upper case and
// may be unsupported.
func ReadSettings(header string) (key KeyName, algorithm string) {
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(part, "=")
		switch value = strings.TrimSpace(value); {
		case strings.TrimSpace(name) == "key" && key == "":
			key = KeyName(value)
		case strings.TrimSpace(name) == "algorithm" && algorithm == "":
			algorithm = strings.ToUpper(value)
		}
	}
	return key, cmp.Or(algorithm, SHA1)
}

// Sign signs a request as Twilio does with the account's current auth token, or with its first shared
// key if it has no token. See the function Sign.
func (a *Account) Sign(url string, params events.Params) string {
	if a.current() == "" && len(a.SharedKeys) > 0 {
		return SignSHA256(a.SharedKeys[0].Secret.Reveal(), url, params)
	}
	return Sign(a.current().Reveal(), url, params)
}

// secrets returns the secrets of all keys. The first is the current token if the account has one.
func (a *Account) secrets() (all []Secret) {
	for _, t := range a.AuthTokens() {
		all = append(all, t.Secret)
	}
	for _, k := range a.SharedKeys {
		all = append(all, k.Secret)
	}
	return all
}

// All returns the tokens that are set: with an empty key, any sender could sign.
func (r KeyRing) All() []Token {
	all := []Token{{Current, r.Current}, {Next, r.Next}, {Previous, r.Previous}}
	return slices.DeleteFunc(all, func(t Token) bool { return t.Secret == "" })
}

// checkKeys refuses keys with which any sender could sign, and names that could be confused.
// ErrNoSecret is wrapped by the fault of an account that lacks a token, or the secret of a key.
var ErrNoSecret = errors.New("is missing")

func (a *Account) checkKeys() error {
	var faults []error
	if a.current() == "" && (len(a.SharedKeys) == 0 || len(a.AuthTokens()) > 0) {
		faults = append(faults, fmt.Errorf("current auth token %w", ErrNoSecret))
	}
	for _, t := range a.AuthTokens() {
		faults = append(faults, checkKey("auth token", t.Name, t.Secret))
	}
	for i, k := range a.SharedKeys {
		faults = append(faults, checkKey(fmt.Sprintf("shared key %d", i+1), k.ID, k.Secret))
	}
	names := a.KeyNames()
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			faults = append(faults, fmt.Errorf("two keys are named %s; give each its own name or ID", name))
		}
	}
	return errors.Join(append(faults, a.checkRegions())...)
}

func checkKey(kind string, name KeyName, secret Secret) error {
	switch text := secret.Reveal(); {
	case !keyName.MatchString(string(name)):
		return fmt.Errorf("%s: its name or ID is not 1 to 64 letters, digits, dots, hyphens or underscores", kind)
	case text == "":
		return fmt.Errorf("%s: its secret %w", kind, ErrNoSecret)
	case strings.TrimSpace(text) != text:
		return fmt.Errorf("%s has space around it", kind)
	}
	return nil
}

// rings returns the keys to try for each algorithm: a shared key can sign with either, a token
// only with HMAC-SHA1.
func (a *Account) rings() (bySHA1, bySHA256 *ring) {
	var short, long []*signer
	for _, t := range append(a.Tokens.All(), a.MoreTokens...) {
		short = append(short, newSigner(Match{Key: t.Name}, t.Secret, sha1.New))
	}
	for _, k := range a.SharedKeys {
		short = append(short, newSigner(Match{Key: k.ID}, k.Secret, sha1.New))
		long = append(long, newSigner(Match{Key: k.ID}, k.Secret, sha256.New))
	}
	for _, r := range a.Regions {
		for _, t := range r.Tokens {
			short = append(short, newSigner(Match{Key: t.Name, Region: r.Name}, t.Secret, sha1.New))
		}
	}
	return newRing(short), newRing(long)
}

// ring holds the keys for one algorithm in the order of their last match, because nearly all
// requests are signed by one key: a second key costs nothing until it signs.
type ring struct{ order atomic.Pointer[[]*signer] }

func newRing(keys []*signer) *ring {
	r := &ring{}
	r.order.Store(&keys)
	return r
}

// match returns the first key that made sig. It may be called from many goroutines: if two move a
// key to the front at once, one move is lost, and a later match makes it again.
func (r *ring) match(sig Signature, text []byte) (Match, bool) {
	if r == nil {
		return Match{}, false
	}
	keys := *r.order.Load()
	for i, s := range keys {
		if !s.signs(sig, text) {
			continue
		}
		if i > 0 {
			moved := slices.Concat(keys[i:i+1], keys[:i], keys[i+1:])
			r.order.Store(&moved)
		}
		return s.match, true
	}
	return Match{}, false
}

// signer is one key. It keeps its HMAC states, because creating one costs as
// much as signing with it.
type signer struct {
	match  Match
	states sync.Pool
}

func newSigner(match Match, secret Secret, algorithm func() hash.Hash) *signer {
	s := &signer{match: match}
	s.states.New = func() any { return &state{mac: hmac.New(algorithm, []byte(secret.Reveal()))} }
	return s
}

// state is one HMAC with a buffer for its result.
type state struct {
	mac hash.Hash
	sum [sha256.Size]byte
}

// signs compares in constant time.
func (s *signer) signs(sig Signature, text []byte) bool {
	st := s.states.Get().(*state)
	defer s.states.Put(st)
	st.mac.Reset()
	st.mac.Write(text)
	return subtle.ConstantTimeCompare(st.mac.Sum(st.sum[:0]), sig.sum[:sig.size]) == 1
}
