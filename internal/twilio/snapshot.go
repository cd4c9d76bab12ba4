package twilio

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gavel/events"
	"gavel/projections"
)

const (
	// readTime bounds one request of a snapshot, including its wait for a slot.
	readTime = 5 * time.Second
	// pageSize is the most participants that Twilio allows at a time, so that one page holds all.
	// maxPages is for a Twilio that answers with smaller pages.
	pageSize = 250
	maxPages = 10
)

// ConferencePath is the path of a conference without its ".json" (Twilio, REST
// API 2010-04-01: Conference resource).
func ConferencePath(key events.Key) string {
	return "/2010-04-01/Accounts/" + key.AccountSid + "/Conferences/" + key.ConferenceSid
}

// State is the current state of a conference at Twilio. At is when the first
// request was made; zero if none was.
type State struct {
	projections.Seen
	// Known reports whether Twilio has the conference. The status of an unknown one is completed.
	Known bool
}

// Over reports whether the conference has ended.
func (s State) Over() bool { return s.Status == projections.StatusCompleted }

// Leg returns a participant that is in the conference or about to join it, or nil.
func (s State) Leg(callSid string) *projections.SeenLeg {
	for i := range s.Legs {
		if l := &s.Legs[i]; l.CallSid == callSid && !l.Gone() {
			return l
		}
	}
	return nil
}

// Caller makes calls, as a Client does.
type Caller interface {
	Call(ctx context.Context, call Call) (Answer, error)
}

// AnswerError is an answer without the requested resource.
type AnswerError struct{ Answer Answer }

// Error contains only the status.
func (e *AnswerError) Error() string { return fmt.Sprintf("twilio answered %d", e.Answer.Status) }

// place is a conference and the region where it is.
type place struct {
	events.Key
	region string
}

// Snapshot fetches the state of a conference from a region (empty: the home region), with all pages
// of its participants. at is the current time. The error is one of Call's, or an *AnswerError.
func Snapshot(ctx context.Context, caller Caller, key events.Key, region string, at time.Time) (State, error) {
	from := place{key, region}
	s := State{Seen: projections.Seen{Status: projections.StatusCompleted, At: at}}
	var conference struct{ Status string }
	var err error
	if s.Known, err = read(ctx, caller, from, "fetch-conference", ConferencePath(key)+".json", &conference); err != nil || !s.Known {
		return s, err
	}
	if s.Status = conference.Status; !s.Over() {
		s.Legs, err = participants(ctx, caller, from)
	}
	return s, err
}

// participants fetches all pages.
func participants(ctx context.Context, caller Caller, from place) (legs []projections.SeenLeg, err error) {
	list := ConferencePath(from.Key) + "/Participants.json"
	next := fmt.Sprintf("%s?PageSize=%d", list, pageSize)
	for range maxPages {
		var page struct {
			Participants []struct {
				CallSid           string `json:"call_sid"`
				Label, Status     string
				projections.Flags // in the record they have Twilio's names
			}
			Next string `json:"next_page_uri"`
		}
		if _, err := read(ctx, caller, from, "list-participants", next, &page); err != nil {
			return nil, err
		}
		for _, p := range page.Participants {
			legs = append(legs, projections.SeenLeg{CallSid: p.CallSid, Label: p.Label, Status: p.Status, Flags: p.Flags})
		}
		if page.Next == "" {
			return legs, nil
		}
		if next = page.Next; !strings.HasPrefix(next, list+"?") {
			break
		}
	}
	// The pages do not end, or the next page is at another address.
	return nil, &AnswerError{Answer{Status: http.StatusOK}}
}

// read fetches one resource and decodes it. known is false if Twilio does not have the resource.
func read(ctx context.Context, caller Caller, from place, kind, path string, into any) (known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	answer, err := caller.Call(ctx, Call{AccountSid: from.AccountSid, Region: from.region, Kind: kind, Method: http.MethodGet, Path: path})
	switch {
	case err != nil:
		return false, err
	case answer.Status == http.StatusNotFound && answer.InForm():
		return false, nil
	case answer.Status != http.StatusOK, json.Unmarshal(answer.Body, into) != nil:
		return false, &AnswerError{answer}
	}
	return true, nil
}
