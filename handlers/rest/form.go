package rest

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gavel/events"
)

// maxForm bounds a write's form, in bytes: a participant with every parameter
// that Twilio has needs a few KB.
const maxForm = 64 << 10

// form is the body of a write: unchanged, for Twilio, and decoded.
type form struct {
	raw    string
	values url.Values
}

// readForm reads the body of a write. Twilio checks the parameters. Gavel only refuses what has two
// interpretations, because the journal might then record another one than Twilio's.
func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	if r.URL.RawQuery != "" {
		return form{}, badRequest("the parameters of a write must be in its body")
	}
	if r.Method == http.MethodDelete {
		return form{}, nil
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return form{}, badRequest("the body is longer than 64 KiB, or incomplete")
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
			return form{}, badRequest("a parameter is duplicated")
		}
	}
	return form{raw, values}, nil
}

// timeout is how long the phone of a new participant may ring; 0 if the form does not say.
func (f form) timeout() time.Duration {
	seconds, err := strconv.Atoi(f.values.Get("Timeout"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// repeats reports whether a parameter is a list, which forms write as repeated names (Twilio,
// Participant resource: StatusCallbackEvent and three similar ones).
func repeats(name string) bool { return strings.HasSuffix(name, "StatusCallbackEvent") }

// do returns the action that a request asks Twilio for.
func (f form) do(method string, of resource) (events.Do, error) {
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
	return f.doConference()
}

// doNothing is the update of a conference that names nothing to do: Twilio answers it.
const doNothing events.Do = ""

// doConference distinguishes the two updates of a conference. Neither the
// journal nor Twilio has others (Conference resource, update).
func (f form) doConference() (events.Do, error) {
	switch {
	case f.values.Get("Status") == "completed":
		return events.DoEnd, nil
	case f.values.Has("Status"):
		return "", badRequest("Status must be completed")
	case f.values.Get("AnnounceUrl") != "":
		return events.DoAnnounce, nil
	}
	return doNothing, nil
}
