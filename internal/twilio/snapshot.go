package twilio

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
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
// of the requests was sent that it was answered to; zero if none was.
type State struct {
	projections.Seen
	// Known reports whether Twilio has the conference. Nothing follows from an unknown one: a 404 also
	// comes from a wrong address or region, and from a part of Twilio that is behind another.
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

// look is one look at a conference: where it is, and the clock.
type look struct {
	Caller
	events.Key
	region string
	now    func() time.Time
}

// Snapshot fetches the state of a conference from a region (empty: the home region), with all pages
// of its participants. Both are requested at once, because the state's age counts from the first
// request. now is the clock. The error is one of Call's, or an *AnswerError; a list that is missing or
// incomplete is an error too, unless the conference is over: it would show legs as gone.
func Snapshot(ctx context.Context, caller Caller, key events.Key, region string, now func() time.Time) (State, error) {
	l := look{caller, key, region, now}
	var listed listing
	var reading sync.WaitGroup
	reading.Go(func() { listed = l.participants(ctx) })
	s, err := l.conference(ctx)
	reading.Wait()
	if err != nil || !s.Known || s.Over() {
		return s, err
	}
	if listed.sent.Before(s.At) {
		s.At = listed.sent
	}
	s.Legs = listed.legs
	return s, listed.err
}

// conference fetches the conference itself.
func (l look) conference(ctx context.Context) (s State, err error) {
	var conference struct{ Status string }
	s.Known, s.At, err = l.read(ctx, "fetch-conference", ConferencePath(l.Key)+".json", &conference)
	switch s.Status = conference.Status; {
	case err != nil, !s.Known:
	case s.Status != projections.StatusInit && s.Status != projections.StatusInProgress && !s.Over():
		err = &AnswerError{Answer{Status: http.StatusOK}} // another resource
	}
	return s, err
}

// listing is the list of participants, and when its first page was requested.
type listing struct {
	legs []projections.SeenLeg
	sent time.Time
	err  error
}

// page is one page of the list.
type page struct {
	Participants []struct {
		CallSid           string `json:"call_sid"`
		Coach             string `json:"call_sid_to_coach"`
		Label, Status     string
		projections.Flags // in the record they have Twilio's names
	}
	Next string `json:"next_page_uri"`
}

// participants fetches all pages.
func (l look) participants(ctx context.Context) (all listing) {
	list := ConferencePath(l.Key) + "/Participants.json"
	next := fmt.Sprintf("%s?PageSize=%d", list, pageSize)
	for range maxPages {
		var p page
		known, sent, err := l.read(ctx, "list-participants", next, &p)
		if all.sent.IsZero() {
			all.sent = sent
		}
		if err == nil && !known {
			err = &AnswerError{Answer{Status: http.StatusNotFound}}
		}
		if err == nil {
			err = all.add(p)
		}
		if all.err = err; err != nil || p.Next == "" {
			return all
		}
		if next = p.Next; !strings.HasPrefix(next, list+"?") {
			break
		}
	}
	// The pages do not end, or the next page is at another address.
	all.err = &AnswerError{Answer{Status: http.StatusOK}}
	return all
}

// add adds a page. The error is for an answer that is no page of participants.
func (all *listing) add(p page) error {
	if p.Participants == nil {
		return &AnswerError{Answer{Status: http.StatusOK}}
	}
	for _, leg := range p.Participants {
		if leg.CallSid == "" {
			return &AnswerError{Answer{Status: http.StatusOK}}
		}
		all.legs = append(all.legs, projections.SeenLeg{CallSid: leg.CallSid, Label: leg.Label, Status: leg.Status, Flags: leg.Flags, Coach: leg.Coach})
	}
	return nil
}

// read fetches one resource and decodes it. known is false if Twilio does not have the resource; sent
// is when the request was sent whose answer this is.
func (l look) read(ctx context.Context, kind, path string, into any) (known bool, sent time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	sent = l.now()
	answer, err := l.Call(ctx, Call{
		AccountSid: l.AccountSid, Region: l.region, Kind: kind, Method: http.MethodGet, Path: path,
		Sending: func() { sent = l.now() },
	})
	switch {
	case err != nil:
		return false, sent, err
	case answer.Status == http.StatusNotFound && answer.InForm():
		return false, sent, nil
	case answer.Status != http.StatusOK, json.Unmarshal(answer.Body, into) != nil:
		return false, sent, &AnswerError{answer}
	}
	return true, sent, nil
}
