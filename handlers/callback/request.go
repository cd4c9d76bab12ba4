package callback

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"gavel/internal/twilio"
)

// signatureOf reads the one signature header.
func signatureOf(r *http.Request) (sig twilio.Signature, err error) {
	values := r.Header[twilio.SignatureHeader]
	if len(values) != 1 {
		return sig, refuse(http.StatusForbidden, reasonNoSignature)
	}
	sig, ok := twilio.ParseSignature(values[0])
	if !ok {
		return sig, refuse(http.StatusForbidden, reasonMalformed)
	}
	return sig, nil
}

// The errors that explain a refused signature by the header with its settings. Any sender can set
// the header, so they do not quote it.
var (
	errAlgorithm  = errors.New("the signature settings name an algorithm other than HMAC_SHA1 and HMAC_SHA256; Gavel has to be updated")
	errUnknownKey = errors.New("the signature settings name a shared key that Gavel does not have; add it to shared_keys of the account")
	errKnownKey   = errors.New("the signature settings name a configured shared key; its secret or the public URL differs from Twilio's")
)

// explainSettings returns what the header with the signature's settings shows about a refused
// signature, or nil.
func explainSettings(r *http.Request, accounts ...*twilio.Account) error {
	header := r.Header.Get(twilio.SettingsHeader)
	key, algorithm := twilio.ReadSettings(header)
	known := func(a *twilio.Account) bool { return slices.Contains(a.KeyNames(), key) }
	switch {
	case header == "":
		return nil
	case algorithm != twilio.SHA1 && algorithm != twilio.SHA256:
		return errAlgorithm
	case slices.ContainsFunc(accounts, known):
		return errKnownKey
	}
	return errUnknownKey
}

// checkBody refuses bodies that need not be read: another media type, a content
// encoding, more than limit bytes.
func checkBody(r *http.Request, limit int64, types ...string) error {
	if !typed(r.Header["Content-Type"], types) || r.Header["Content-Encoding"] != nil {
		return refuse(http.StatusUnsupportedMediaType, reasonContentType)
	}
	if r.ContentLength > limit {
		return refuse(http.StatusRequestEntityTooLarge, reasonTooLarge)
	}
	return nil
}

// typed reports whether the request has one Content-Type, it is among types,
// and its charset is UTF-8.
func typed(values, types []string) bool {
	if len(values) != 1 {
		return false
	}
	// Twilio's two spellings, without the cost of parsing a header.
	if rest, ok := strings.CutPrefix(values[0], types[0]); ok && (rest == "" || rest == "; charset=UTF-8") {
		return true
	}
	media, params, err := mime.ParseMediaType(values[0])
	if err != nil || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return false
	}
	return slices.Contains(types, media)
}

var (
	// errBody replaces net/http's error for a broken body, which can quote the body.
	errBody = errors.New("body could not be read")
	errSlow = errors.New("body was not complete in time, or newer ones needed its place")
)

// whole marks a body that had arrived before the door was called. It needs no place among unread.
type whole interface{ Whole() }

// readBody reads the whole body into room, which grows with the bytes received,
// not with the length that the client announces.
func (d *Door) readBody(r *arrival, room []byte, limit int64) ([]byte, error) {
	if _, arrived := r.Body.(whole); arrived {
		return readAll(r.Body, room, limit)
	}
	here := reading{w: r.w, peer: peerOf(r.RemoteAddr), since: r.arrived}
	d.unread.begin(&here)
	body, err := readAll(r.Body, room, limit)
	kept := d.unread.end(&here)
	switch {
	case !kept && err != nil:
		return body, refuse(http.StatusRequestTimeout, reasonSlow).because(errSlow)
	case !kept:
		// It was complete before the door noticed. net/http takes the deadline for the end of
		// the connection and cancels the request.
		r.w.Header().Set("Connection", "close")
		r.Request = r.WithContext(context.WithoutCancel(r.Context()))
	}
	switch {
	case err != nil:
		return body, refuse(http.StatusBadRequest, reasonBody).because(errBody)
	case int64(len(body)) > limit:
		return body, refuse(http.StatusRequestEntityTooLarge, reasonTooLarge)
	}
	return body, nil
}

// readAll reads until the end, or one byte beyond limit.
func readAll(from io.Reader, into []byte, limit int64) ([]byte, error) {
	for int64(len(into)) <= limit {
		if len(into) == cap(into) {
			into = append(into, 0)[:len(into)]
		}
		n, err := from.Read(into[len(into):cap(into)])
		into = into[:len(into)+n]
		if err == io.EOF {
			return into, nil
		}
		if err != nil {
			return into, err
		}
	}
	return into, nil
}
