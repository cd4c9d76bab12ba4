package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"gavel/projections"
	"gavel/views"
)

// retryAfter is how long a client should wait, in seconds.
const retryAfter = "2"

var errNoConference = huma.Error404NotFound("no such conference")

// problem maps an error to an answer. An error that it does not recognize means that
// a store cannot be read now.
func (a *API) problem(err error) error {
	var status huma.StatusError
	var ambiguous *views.AmbiguousError
	switch {
	case err == nil, errors.As(err, &status):
		return err
	case errors.Is(err, projections.ErrNotFound):
		return errNoConference
	case errors.As(err, &ambiguous):
		return huma.Error409Conflict(ambiguous.Error() + ": name one, with ?account= or --account")
	case errors.Is(err, projections.ErrFilling), errors.Is(err, projections.ErrLost):
		return unavailable("the picture is being filled, try again soon")
	}
	a.Log.Warn("request cannot be answered", "error", err)
	if errors.Is(err, projections.ErrUnreachable) {
		return unavailable("Redis does not answer, try again soon")
	}
	return unavailable("a store cannot be reached, try again soon")
}

// because is why a person does something.
type because struct {
	Reason string `json:"reason" minLength:"1" maxLength:"256" pattern:"\\S" doc:"Why; Gavel stores it"`
}

// badReason refuses a reason that matches the schema, which counts characters.
var badReason = badField("body.reason", "is longer than 256 bytes")

// badField refuses a request because of one of its fields.
func badField(location, why string) error {
	return huma.Error422UnprocessableEntity(location+" "+why, &huma.ErrorDetail{Location: location, Message: why})
}

func unavailable(why string) error {
	return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable(why), http.Header{"Retry-After": {retryAfter}})
}

// problemWriter turns the mux's own errors, which are plain text, into problems. It
// keeps their headers (Allow).
type problemWriter struct{ http.ResponseWriter }

// WriteHeader writes the whole answer.
func (w *problemWriter) WriteHeader(status int) {
	body, err := json.Marshal(huma.NewError(status, http.StatusText(status)))
	if err != nil {
		panic("api: a problem cannot be encoded: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(status)
	_, _ = w.ResponseWriter.Write(body) // an error means that the client is gone
}

// Write drops the plain text.
func (w *problemWriter) Write(b []byte) (int, error) { return len(b), nil }
