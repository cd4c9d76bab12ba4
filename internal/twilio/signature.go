package twilio

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio's scheme is HMAC-SHA1
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"slices"
	"strings"
	"sync"

	"gavel/events"
)

// SignatureHeader is the header that carries the signature.
const SignatureHeader = "X-Twilio-Signature"

// Signature is an HMAC-SHA1.
type Signature [sha1.Size]byte

// encodedSignature is the length of a signature in base64.
const encodedSignature = 28

// strict refuses bits after the last byte, because with them one signature
// would have several spellings.
var strict = base64.StdEncoding.Strict()

// ParseSignature parses the header's value.
func ParseSignature(header string) (sig Signature, ok bool) {
	if len(header) != encodedSignature || strings.ContainsAny(header, "\r\n") {
		return sig, false
	}
	var room [encodedSignature]byte
	n, err := strict.Decode(room[:], []byte(header))
	if err != nil || n != len(sig) {
		return sig, false
	}
	copy(sig[:], room[:])
	return sig, true
}

// Sign returns the signature that Twilio sends with a request to url: a POST's parameters are
// params, a GET's are in the URL. Like Twilio, it leaves out a fragment and a user name in the URL.
func Sign(token, url string, params events.Params) string {
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(signedURL(url)))
	mac.Write(appendSigned(nil, sortParams(slices.Clone(params))))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func signedURL(url string) string {
	url, _, _ = strings.Cut(url, "#")
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return url
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?"); end >= 0 {
		authority = rest[:end]
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		rest = rest[at+1:]
	}
	return scheme + "://" + rest
}

// Verify reports whether sig is right for the URL with rawQuery and, for a POST, the form's
// parameters, and which key made it. Every key of the ring is tried and compared in constant time;
// other spellings of the URL are tried only if the first one matches no key.
func (a *Account) Verify(sig Signature, urls URLs, rawQuery string, params events.Params) (KeyName, bool) {
	w := workspaces.Get().(*workspace)
	defer w.release()
	w.sorted = sortParams(append(w.sorted[:0], params...))
	for _, url := range urls.spellings {
		w.text = append(w.text[:0], url...)
		if rawQuery != "" {
			w.text = append(append(w.text, '?'), rawQuery...)
		}
		w.text = appendSigned(w.text, w.sorted)
		if name, ok := a.match(sig, w.text); ok {
			return name, true
		}
	}
	return "", false
}

// VerifyJSON returns the accounts whose signature sig is for the URL with
// rawQuery. The query carries the hash of the body: see BodyHash.
func (a *Accounts) VerifyJSON(sig Signature, urls URLs, rawQuery string) []Verified {
	var matched []Verified
	for _, account := range a.All() {
		if name, ok := account.Verify(sig, urls, rawQuery, nil); ok {
			matched = append(matched, Verified{account, name})
		}
	}
	return matched
}

// Verified is an account with the key that made a signature.
type Verified struct {
	Account *Account
	Key     KeyName
}

// bodyHashName is the query parameter with the hash of a body that is not a form.
const bodyHashName = "bodySHA256"

// BodyHash splits the query of a JSON webhook into the URL's own query and the
// SHA-256 that Twilio appended.
func BodyHash(rawQuery string) (before string, sum [sha256.Size]byte, ok bool) {
	before, last := "", rawQuery
	if at := strings.LastIndexByte(rawQuery, '&'); at >= 0 {
		before, last = rawQuery[:at], rawQuery[at+1:]
	}
	digits, ok := strings.CutPrefix(last, bodyHashName+"=")
	if !ok || len(digits) != hex.EncodedLen(len(sum)) {
		return "", sum, false
	}
	_, err := hex.Decode(sum[:], []byte(digits))
	return before, sum, err == nil
}

// match tries every key, so that the time does not reveal which key matched.
func (a *Account) match(sig Signature, text []byte) (name KeyName, ok bool) {
	for _, s := range a.ring {
		if s.signs(sig, text) {
			name, ok = s.name, true
		}
	}
	return name, ok
}

// sortParams sorts by name and value in byte order, as Twilio does.
func sortParams(params events.Params) events.Params {
	slices.SortFunc(params, func(a, b events.Param) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
	return params
}

// appendSigned concatenates names and values. Equal values of a name count once.
func appendSigned(dst []byte, sorted events.Params) []byte {
	for i, p := range sorted {
		if i > 0 && p == sorted[i-1] {
			continue
		}
		dst = append(dst, p.Name...)
		dst = append(dst, p.Value...)
	}
	return dst
}

// signer is one key. It keeps its HMAC states, because creating one costs as
// much as signing with it.
type signer struct {
	name   KeyName
	states sync.Pool
}

func newSigner(name KeyName, token Secret) *signer {
	s := &signer{name: name}
	s.states.New = func() any { return &state{mac: hmac.New(sha1.New, []byte(token.Reveal()))} }
	return s
}

// state is one HMAC with a buffer for its result.
type state struct {
	mac hash.Hash
	sum Signature
}

// signs compares in constant time.
func (s *signer) signs(sig Signature, text []byte) bool {
	st := s.states.Get().(*state)
	defer s.states.Put(st)
	st.mac.Reset()
	st.mac.Write(text)
	return subtle.ConstantTimeCompare(st.mac.Sum(st.sum[:0]), sig[:]) == 1
}

// workspace holds the buffers of one verification.
type workspace struct {
	sorted events.Params
	text   []byte
}

var workspaces = sync.Pool{New: func() any { return new(workspace) }}

// release clears the parameters, so that the pool keeps no request's memory.
func (w *workspace) release() {
	clear(w.sorted)
	workspaces.Put(w)
}
