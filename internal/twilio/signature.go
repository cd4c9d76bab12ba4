package twilio

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio's scheme is HMAC-SHA1
	"crypto/sha256"
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

// Signature is an HMAC-SHA1 or an HMAC-SHA256. Its length selects the algorithm, because Twilio does
// not sign X-Twilio-Webhooks-Signature-Settings, which names it: any sender can set that header.
type Signature struct {
	size int // bytes of sum
	sum  [sha256.Size]byte
}

// encodedSizes are the lengths of signatures in base64, with those in bytes.
var encodedSizes = map[int]int{28: sha1.Size, maxEncoded: sha256.Size}

const maxEncoded = 44

// strict refuses bits after the last byte, because with them one signature
// would have several spellings.
var strict = base64.StdEncoding.Strict()

// ParseSignature parses the header's value.
func ParseSignature(header string) (sig Signature, ok bool) {
	size, ok := encodedSizes[len(header)]
	if !ok || strings.ContainsAny(header, "\r\n") {
		return sig, false
	}
	var room [maxEncoded]byte
	n, err := strict.Decode(room[:], []byte(header))
	if err != nil || n != size {
		return sig, false
	}
	sig.size = size
	copy(sig.sum[:], room[:size])
	return sig, true
}

// Sign returns the signature that Twilio sends with a request to url: a POST's parameters are
// params, a GET's are in the URL. Like Twilio, it leaves out a fragment and a user name in the URL.
func Sign(token, url string, params events.Params) string { return sign(sha1.New, token, url, params) }

// SignSHA256 is Sign with the secret of a shared key. The HMAC's key is the secret's text, not what
// it encodes (npm twilio 6.3.1, lib/webhooks).
func SignSHA256(secret, url string, params events.Params) string {
	return sign(sha256.New, secret, url, params)
}

func sign(algorithm func() hash.Hash, secret, url string, params events.Params) string {
	mac := hmac.New(algorithm, []byte(secret))
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
// parameters, and which key made it. Keys are tried in the order of their last match, each is
// compared in constant time, and the first that matches ends the search. Other spellings of the
// URL are tried only if the first one matches no key.
func (a *Account) Verify(sig Signature, urls URLs, rawQuery string, params events.Params) (Match, bool) {
	keys := a.sha1
	if sig.size == sha256.Size {
		keys = a.sha256
	}
	w := workspaces.Get().(*workspace)
	defer w.release()
	w.sorted = sortParams(append(w.sorted[:0], params...))
	for query, more := rawQuery, true; more; query, more = otherQuotes(rawQuery, query) {
		for _, url := range urls.spellings {
			w.text = append(w.text[:0], url...)
			if query != "" {
				w.text = append(append(w.text, '?'), query...)
			}
			w.text = appendSigned(w.text, w.sorted)
			if m, ok := keys.match(sig, w.text); ok {
				return m, true
			}
		}
	}
	return Match{}, false
}

// otherQuotes returns the spelling of a query to try after the one that was tried, if there is
// another. A proxy, or Twilio, may have written an apostrophe as %27 or the other way round, and the
// official validator tries both (npm twilio 6.3.1, validateRequest). Both mean the same parameters.
func otherQuotes(raw, tried string) (query string, more bool) {
	plain := strings.ReplaceAll(raw, "%27", "'")
	escaped := strings.ReplaceAll(plain, "'", "%27")
	switch {
	case plain == escaped:
		return "", false
	case tried == raw && raw != plain:
		return plain, true
	case tried == raw || tried == plain && raw != escaped:
		return escaped, true
	}
	return "", false
}

// VerifyJSON returns the accounts whose signature sig is for the URL with
// rawQuery. The query carries the hash of the body: see BodyHash.
func (a *Accounts) VerifyJSON(sig Signature, urls URLs, rawQuery string) []Verified {
	var matched []Verified
	for _, account := range a.All() {
		if m, ok := account.Verify(sig, urls, rawQuery, nil); ok {
			matched = append(matched, Verified{account, m})
		}
	}
	return matched
}

// Verified is an account with the key that made a signature.
type Verified struct {
	Account *Account
	Match
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
