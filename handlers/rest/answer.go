package rest

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gavel/internal/twilio"
)

// answer is the response to a client: Gavel's own, or Twilio's.
type answer struct {
	status int
	header http.Header // besides those of every answer
	body   []byte
}

// passedOn are the headers of Twilio's answers that clients need, besides those that begin with
// Twilio-. The others are about the connection, or about access from browsers.
var passedOn = []string{"Content-Type", "Retry-After", "X-Home-Region", "X-Api-Domain"}

// answerOf is Twilio's answer: its status, its body and the headers that clients need. What is not
// an answer of Twilio's API becomes an error in its form: Twilio's clients cannot read the page of a
// proxy, and twilio-go takes a redirect for success.
func answerOf(from twilio.Answer) answer {
	if !from.InForm() {
		return notTwilios(from.Status).answer()
	}
	a := answer{status: from.Status, header: http.Header{}, body: from.Body}
	for name, values := range from.Header {
		if strings.HasPrefix(name, "Twilio-") {
			a.header[name] = values
		}
	}
	for _, name := range passedOn {
		if values := from.Header.Values(name); len(values) > 0 {
			a.header[name] = values
		}
	}
	return a
}

// write sends the answer with the headers that Twilio sends. Headers from Twilio's own answer
// replace Gavel's, so that Twilio's support can find the request.
func (a answer) write(w http.ResponseWriter, took time.Duration) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Twilio-Request-Id", requestID())
	h.Set("Twilio-Request-Duration", strconv.FormatFloat(took.Seconds(), 'f', 3, 64))
	if a.status != http.StatusNoContent {
		h.Set("Content-Type", "application/json;charset=utf-8")
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	for name, values := range a.header {
		h[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // after an error the client is gone
}

func requestID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand aborts the program instead
	return "RQ" + hex.EncodeToString(b[:])
}
