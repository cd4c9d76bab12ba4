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
	errTooMany = &fault{http.StatusTooManyRequests, 20429, "Too Many Requests", "Retry-After", "1"}

	errReadsOnly     = forbidden("this API key may only read; gavel keys create --role operator makes one that may write")
	errForeignPage   = forbidden("a page of another site may not write")
	errNoCredentials = forbidden("Gavel has no credentials of this account; list it under accounts in gavel.yaml, with its auth token")
)

// The faults that Twilio does not have. Their codes are of Gavel's own making,
// in Twilio's shape.
var (
	errUnavailable = unavailable("Gavel's picture is being filled, ask again soon")
	errNoJournal   = unavailable("Gavel's journal takes nothing now, so Twilio was not asked; ask again soon")
	errUnreachable = unavailable("Twilio cannot be reached, so nothing was done; ask again soon")
	errSilent      = &fault{
		status: http.StatusGatewayTimeout, code: 20504,
		message: "Gateway timeout: Twilio did not answer; it may have done what was asked, or not",
	}
)

func unavailable(why string) *fault {
	return &fault{http.StatusServiceUnavailable, 20503, "Service unavailable: " + why, "Retry-After", retryAfter}
}

func forbidden(why string) *fault {
	return &fault{status: http.StatusForbidden, code: 20403, message: "Forbidden: " + why}
}

// notAllowed names the methods that are; none where the path is what is wrong.
func notAllowed(message string, allowed ...string) *fault {
	return &fault{http.StatusMethodNotAllowed, 20004, message, "Allow", strings.Join(allowed, ", ")}
}

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

func (f *fault) answer() answer {
	a := answer{status: f.status, header: http.Header{}, body: f.body()}
	if f.header != "" {
		a.header.Set(f.header, f.value)
	}
	return a
}
