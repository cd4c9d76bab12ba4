package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"gavel/projections"
)

// retryAfter is what a client is told to wait, in seconds: an emptied picture
// is noticed and filled again in about that time.
const retryAfter = "2"

// fault is an error as Twilio's REST API tells it.
type fault struct {
	status  int
	code    int
	message string
	// header and value are sent along where header is not empty.
	header, value string
}

// The faults that are always the same. Codes and messages are Twilio's (error
// dictionary, and recorded answers).
var (
	errUnauthorized = &fault{
		http.StatusUnauthorized, 20003, "Authenticate",
		"WWW-Authenticate", `Basic realm="Twilio API"`,
	}
	errReadsOnly = &fault{
		http.StatusMethodNotAllowed, 20004,
		"Method not allowed: Gavel serves reads; send writes to Twilio", "Allow", "GET, HEAD",
	}
	errNoConferenceSid = &fault{
		http.StatusMethodNotAllowed, 20004,
		"Method not allowed: a conference is named by its SID (CF...), not by its friendly name", "Allow", "GET, HEAD",
	}
	errTooMany = &fault{http.StatusTooManyRequests, 20429, "Too Many Requests", "Retry-After", "1"}
	// errUnavailable has a code of Gavel's own making in Twilio's shape: a
	// picture that is not whole has no counterpart there.
	errUnavailable = &fault{
		http.StatusServiceUnavailable, 20503,
		"Service unavailable: Gavel's picture is being filled, ask again soon", "Retry-After", retryAfter,
	}
)

func badRequest(why string) *fault {
	return &fault{status: http.StatusBadRequest, code: 20001, message: "Bad request: " + why}
}

func notFound(path string) *fault {
	return &fault{
		status: http.StatusNotFound, code: 20404,
		message: "The requested resource " + path + " was not found",
	}
}

// Error is the message.
func (f *fault) Error() string { return f.message }

// faultOf decides how an error is told. What is no fault and no answer of the
// picture means that the picture cannot be read now: never a 404, which a
// client would believe.
func (h *Handler) faultOf(r *http.Request, err error) *fault {
	var f *fault
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, projections.ErrNotFound):
		return notFound(r.URL.Path)
	case errors.Is(err, projections.ErrBadPage):
		return badRequest("PageToken is not valid")
	case errors.Is(err, projections.ErrFilling), errors.Is(err, projections.ErrLost),
		errors.Is(err, context.Canceled):
	default:
		h.Log.Warn("picture cannot be read", "error", err)
	}
	return errUnavailable
}

// body is the error in Twilio's JSON.
func (f *fault) body() []byte {
	b, err := json.Marshal(struct {
		Code     int    `json:"code"`
		Message  string `json:"message"`
		MoreInfo string `json:"more_info"`
		Status   int    `json:"status"`
	}{f.code, f.message, "https://www.twilio.com/docs/errors/" + strconv.Itoa(f.code), f.status})
	if err != nil {
		panic("rest: two numbers and two strings cannot be encoded: " + err.Error())
	}
	return b
}

func (f *fault) addHeaders(h http.Header) {
	if f.header != "" {
		h.Set(f.header, f.value)
	}
}
