package twiliofake

import (
	"fmt"
	"net/http"
)

// apiError is Twilio's answer to a request that it refuses.
type apiError struct {
	// Status is the HTTP status of the REST API. For the codes 16xxx and 13240
	// the error dictionary names none; 400 is not confirmed.
	Status int
	// Code is that of Twilio's error dictionary.
	Code    int
	Message string
}

// Error returns the code and the message.
func (r *apiError) Error() string { return fmt.Sprintf("%d: %s", r.Code, r.Message) }

// Errors of requests about conferences.
var (
	ErrNoParticipant = &apiError{http.StatusNotFound, 16022, "The call is in no conference"}
	ErrNoConference  = &apiError{http.StatusBadRequest, 16022, "Conference does not exist or is completed"}
	ErrFull          = &apiError{http.StatusBadRequest, 16020, "Conference is full"}
	ErrNobodyToCoach = &apiError{http.StatusBadRequest, 13240, "The call to coach is not in the conference"}
)

// TwiML and the REST API check a label alike, with different codes: 16025 and
// 16026 for a label in use (Twilio, TwiML <Conference> and error dictionary),
// and so probably 16023 and 16024 for an invalid one.
var (
	ErrLabelTaken      = &apiError{http.StatusBadRequest, 16025, "Participant label is already in use"}
	ErrLabelInvalid    = &apiError{http.StatusBadRequest, 16023, "Participant label is invalid"}
	ErrAPILabelTaken   = &apiError{http.StatusBadRequest, 16026, "Participant label is already in use"}
	ErrAPILabelInvalid = &apiError{http.StatusBadRequest, 16024, "Participant label is invalid"}
)

func badRequest(format string, args ...any) *apiError {
	return &apiError{http.StatusBadRequest, 20001, fmt.Sprintf(format, args...)}
}

func notFound(path string) *apiError {
	return &apiError{http.StatusNotFound, 20404, "The requested resource " + path + " was not found"}
}

var (
	errUnauthorized = &apiError{http.StatusUnauthorized, 20003, "Authenticate"}
	errMethod       = &apiError{http.StatusMethodNotAllowed, 20004, "Method not allowed"}
	errTooMany      = &apiError{http.StatusTooManyRequests, 20429, "Too Many Requests"}
	// errRecordingState was observed when a conference's recording was paused; that it is also the
	// answer to a request that does not fit the recording's state is not confirmed.
	errRecordingState = &apiError{http.StatusBadRequest, 21220, "Unable to update record: the recording is not in a state that allows it"}
)
