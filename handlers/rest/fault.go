package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"gavel/projections"
)

// retryAfter is how long a client should wait, in seconds: an emptied picture
// is detected and filled again in about that time.
const retryAfter = "2"

// fault is an error in the form of Twilio's REST API.
type fault struct {
	status  int
	code    int
	message string
	// header and value are sent if header is not empty.
	header, value string
}

// Faults without variable parts. Codes and messages are Twilio's (error
// dictionary, and recorded answers).
var (
	errUnauthorized = &fault{http.StatusUnauthorized, 20003, "Authenticate", "WWW-Authenticate", `Basic realm="Twilio API"`}
	errTooMany      = &fault{http.StatusTooManyRequests, 20429, "Too Many Requests", "Retry-After", "1"}

	errReadsOnly     = forbidden("this API key may only read; create one that may write with gavel keys create --role operator")
	errForeignPage   = forbidden("a web page of another site may not write")
	errNoCredentials = forbidden("Gavel has no credentials for this account; add it to accounts in gavel.yaml, with its auth token")
)

// Faults that Twilio does not have. The codes are Gavel's own, the form is Twilio's.
var (
	errStarting    = unavailable("Gavel is starting; retry soon")
	errFilling     = unavailable("Gavel's picture is being filled; retry soon")
	errNoRedis     = unavailable("Redis does not answer, so Gavel's picture cannot be read; retry soon")
	errUnavailable = unavailable("Gavel's picture cannot be read; retry soon")
	errNoJournal   = unavailable("Gavel's journal is unavailable, so Twilio was not called; retry soon")
	errUnreachable = unavailable("Twilio cannot be reached, so nothing was done; retry soon")
	errSilent      = &fault{
		status: http.StatusGatewayTimeout, code: 20504,
		message: "Gateway timeout: Twilio did not answer, so whether it executed the request is unknown",
	}
)

// notTwilios replaces an answer that has not the form of Twilio's API. Its status stays if clients
// take it for an error.
func notTwilios(status int) *fault {
	f := &fault{
		status: status, code: 20502,
		message: "Bad gateway: the answer with status " + strconv.Itoa(status) + " is not in the form of Twilio's API;" +
			" a proxy on the way may have sent it",
	}
	if status < http.StatusBadRequest {
		f.status = http.StatusBadGateway
	}
	return f
}

// Starting answers every request under Prefix until the process is ready.
func Starting() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { errStarting.answer().write(w, 0) })
}

func unavailable(why string) *fault {
	return &fault{http.StatusServiceUnavailable, 20503, "Service unavailable: " + why, "Retry-After", retryAfter}
}

func forbidden(why string) *fault {
	return &fault{status: http.StatusForbidden, code: 20403, message: "Forbidden: " + why}
}

// notAllowed names the allowed methods; none if the path is wrong.
func notAllowed(message string, allowed ...string) *fault {
	return &fault{http.StatusMethodNotAllowed, 20004, message, "Allow", strings.Join(allowed, ", ")}
}

func badRequest(why string) *fault {
	return &fault{status: http.StatusBadRequest, code: 20001, message: "Bad request: " + why}
}

func notFound(path string) *fault {
	return &fault{status: http.StatusNotFound, code: 20404, message: "The requested resource " + path + " was not found"}
}

// notServed answers a path that is no conference's. A program whose base URL was changed
// for conferences sends its other requests here too, and must not take the 404 for Twilio's.
func notServed(path string) *fault {
	return &fault{
		status: http.StatusNotFound, code: 20404,
		message: "The requested resource " + path + " was not found: Gavel serves conferences, their participants and their" +
			" recordings only; use a second client with Twilio's own base URL for other resources",
	}
}

// Error returns the message.
func (f *fault) Error() string { return f.message }

// faultOf converts an error to a fault. An unknown error means that the picture cannot be read now.
// That is never a 404, because a client would take it for a fact.
func (h *Handler) faultOf(r *http.Request, err error) *fault {
	var f *fault
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, projections.ErrNotFound):
		return notFound(r.URL.Path)
	case errors.Is(err, projections.ErrBadPage):
		return badRequest("PageToken is not valid")
	case errors.Is(err, projections.ErrFilling), errors.Is(err, projections.ErrLost):
		return errFilling
	case errors.Is(err, context.Canceled):
		return errUnavailable
	}
	h.Log.Warn("reading the picture failed", "error", err)
	if errors.Is(err, projections.ErrUnreachable) {
		return errNoRedis
	}
	return errUnavailable
}

// body returns the error in Twilio's JSON.
func (f *fault) body() []byte {
	b, err := json.Marshal(struct {
		Code     int    `json:"code"`
		Message  string `json:"message"`
		MoreInfo string `json:"more_info"`
		Status   int    `json:"status"`
	}{f.code, f.message, "https://www.twilio.com/docs/errors/" + strconv.Itoa(f.code), f.status})
	if err != nil {
		panic("rest: encode an error: " + err.Error())
	}
	return b
}

func (f *fault) answer() answer {
	a := answer{status: f.status, header: http.Header{}, body: f.body()}
	if f.header != "" {
		a.header.Set(f.header, f.value)
	}
	return a
}
