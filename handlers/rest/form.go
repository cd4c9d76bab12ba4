package rest

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"gavel/events"
)

// maxForm bounds a write's form, in bytes: a participant with every parameter
// that Twilio knows takes a few KB.
const maxForm = 64 << 10

// form is what a write asks for: as it came, for Twilio, and decoded.
type form struct {
	raw    string
	values url.Values
}

// readForm reads the body of a write. Parameters are Twilio's to judge; refused
// is only what could be read in two ways, for then the journal might say
// something else than what Twilio understood.
func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	if r.URL.RawQuery != "" {
		return form{}, badRequest("the parameters of a write belong into its body")
	}
	if r.Method == http.MethodDelete {
		return form{}, nil
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return form{}, badRequest("the body is longer than 64 KiB, or broke off")
	}
	if len(raw) > 0 && !isForm(r.Header.Get("Content-Type")) {
		return form{}, badRequest("the body must be application/x-www-form-urlencoded")
	}
	return parseForm(string(raw))
}

func isForm(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == "application/x-www-form-urlencoded"
}

func parseForm(raw string) (form, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return form{}, badRequest("the body cannot be decoded")
	}
	for name, all := range values {
		if len(all) > 1 && !repeats(name) {
			return form{}, badRequest("a parameter is there twice")
		}
	}
	return form{raw, values}, nil
}

// repeats reports whether a parameter is a list, which forms write as repeated
// names (Twilio, Participant resource: StatusCallbackEvent and its three
// likes).
func repeats(name string) bool { return strings.HasSuffix(name, "StatusCallbackEvent") }

// asks returns what a request asks Twilio for.
func (f form) asks(method string, of resource) (events.Do, error) {
	gone := method == http.MethodDelete
	switch {
	case of == participants:
		return events.DoAddParticipant, nil
	case of == participant && gone:
		return events.DoKick, nil
	case of == participant:
		return events.DoUpdateParticipant, nil
	case of == recording && gone:
		return events.DoDeleteRecording, nil
	case of == recording:
		return events.DoUpdateRecording, nil
	}
	return f.asksConference()
}

// asksConference tells the two updates of a conference apart. The journal has
// no word for others, and Twilio has none either (Conference resource, update).
func (f form) asksConference() (events.Do, error) {
	switch {
	case f.values.Get("Status") == "completed":
		return events.DoEnd, nil
	case f.values.Has("Status"):
		return "", badRequest("Status must be completed")
	case f.values.Get("AnnounceUrl") != "":
		return events.DoAnnounce, nil
	}
	return "", badRequest("Status or AnnounceUrl is needed")
}
