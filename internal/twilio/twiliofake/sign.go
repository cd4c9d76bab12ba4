package twiliofake

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Signature returns the value of X-Twilio-Signature for a request to address with these form
// parameters (nil for GET and JSON), keyed with the account's auth token.
//
// It follows only the text of Twilio's "Webhooks security" page. It shares no code with the
// verifier that it tests, because no test detects an error that both sides share.
func Signature(token, address string, params url.Values) string {
	return sign(sha1.New, token, address, params)
}

// SharedSignature is Signature with a shared key and the algorithm of its setting (Twilio, "Webhook
// shared keys"). As in npm twilio 6.3.1, case does not matter and no algorithm means HMAC_SHA1.
func SharedSignature(secret, algorithm, address string, params url.Values) string {
	if strings.EqualFold(algorithm, "HMAC_SHA256") {
		return sign(sha256.New, secret, address, params)
	}
	return sign(sha1.New, secret, address, params)
}

func sign(algorithm func() hash.Hash, secret, address string, params url.Values) string {
	mac := hmac.New(algorithm, []byte(secret))
	io.WriteString(mac, address)
	for _, name := range slices.Sorted(maps.Keys(params)) {
		values := slices.Clone(params[name])
		slices.Sort(values)
		// A name with several values is signed once for each distinct value.
		for _, value := range slices.Compact(values) {
			io.WriteString(mac, name+value)
		}
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// signedAddress returns the address that Twilio signs for a callback URL: no fragment (it holds
// connection overrides), no userinfo, and over HTTPS no port; over HTTP the port stays.
func signedAddress(callback url.URL) string {
	callback.Fragment, callback.RawFragment = "", ""
	callback.User = nil
	if callback.Scheme == "https" {
		callback.Host = withoutPort(callback)
	}
	return callback.String()
}

// withoutPort returns only the host, with the brackets of an IPv6 address.
func withoutPort(u url.URL) string {
	if port := u.Port(); port != "" {
		return u.Host[:len(u.Host)-len(port)-1]
	}
	return u.Host
}
