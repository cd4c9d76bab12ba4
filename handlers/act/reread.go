package act

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gavel/internal/crashpoint"
	"gavel/internal/twilio"
	"gavel/projections"
)

const (
	// readTime bounds one request of a re-read, waiting for its turn included.
	readTime = 5 * time.Second
	// pageSize lets all that Twilio lets into a conference at a time, 250, come
	// in one page. maxPages is for a Twilio that gives smaller ones.
	pageSize = 250
	maxPages = 10
)

// leg is a participant as Twilio shows it.
type leg = projections.SeenLeg

// sight is how things stand at Twilio.
type sight struct {
	projections.Seen
	// known: Twilio knows the conference. One that it does not know is over.
	known bool
	// looked is when we began to look; zero is never.
	looked time.Time
}

// over reports whether there is no conference any more.
func (s sight) over() bool { return !s.known || s.Status == projections.StatusCompleted }

// leg returns a participant that is there, or on its way.
func (s sight) leg(callSid string) *leg {
	for i := range s.Legs {
		if l := &s.Legs[i]; l.CallSid == callSid && !hasLeft(l) {
			return l
		}
	}
	return nil
}

// hasLeft: Twilio shows a leg whose call has ended for a while (Twilio,
// Participant resource: status).
func hasLeft(l *leg) bool { return l.Status == "complete" || l.Status == "failed" }

// words are what the journal keeps of it: a form of numbers and fixed words.
func (s sight) words() string {
	switch {
	case s.looked.IsZero():
		return ""
	case !s.known:
		return "status=gone"
	}
	connected, coming := 0, 0
	for i := range s.Legs {
		switch l := &s.Legs[i]; {
		case l.Status == "connected":
			connected++
		case !hasLeft(l):
			coming++
		}
	}
	status := s.Status
	if status != projections.StatusInit && status != projections.StatusInProgress && status != projections.StatusCompleted {
		status = "other"
	}
	return fmt.Sprintf("status=%s&connected=%d&coming=%d", status, connected, coming)
}

// look asks Twilio how the conference stands, and tells the journal what the
// record does not know.
func (t *task) look(ctx context.Context) error {
	if err := t.see(ctx); err != nil {
		return err
	}
	return t.heal(ctx)
}

// see asks Twilio.
func (t *task) see(ctx context.Context) error {
	s := sight{looked: t.Now()}
	s.At = s.looked
	var conference struct{ Status string }
	var err error
	if s.known, err = t.get(ctx, "fetch-conference", conferencePath(t.decided.Key)+".json", &conference); err != nil {
		return err
	}
	s.Status = conference.Status
	if !s.over() {
		if s.Legs, err = t.participants(ctx); err != nil {
			return err
		}
	}
	t.sight = s
	crashpoint.Pass(crashpoint.Seen)
	return nil
}

// participant is Twilio's Participant resource, as far as it is read.
type participant struct {
	CallSid                string `json:"call_sid"`
	Label                  string `json:"label"`
	Status                 string `json:"status"`
	Muted                  bool   `json:"muted"`
	Hold                   bool   `json:"hold"`
	Coaching               bool   `json:"coaching"`
	EndConferenceOnExit    bool   `json:"end_conference_on_exit"`
	StartConferenceOnEnter bool   `json:"start_conference_on_enter"`
}

func (p *participant) seen() leg {
	return leg{CallSid: p.CallSid, Label: p.Label, Status: p.Status, Flags: projections.Flags{
		Muted: p.Muted, Hold: p.Hold, Coaching: p.Coaching,
		EndConferenceOnExit: p.EndConferenceOnExit, StartConferenceOnEnter: p.StartConferenceOnEnter,
	}}
}

// participants reads all pages.
func (t *task) participants(ctx context.Context) (legs []leg, err error) {
	list := conferencePath(t.decided.Key) + "/Participants.json"
	next := fmt.Sprintf("%s?PageSize=%d", list, pageSize)
	for range maxPages {
		var page struct {
			Participants []participant
			Next         string `json:"next_page_uri"`
		}
		if _, err := t.get(ctx, "list-participants", next, &page); err != nil {
			return nil, err
		}
		for i := range page.Participants {
			legs = append(legs, page.Participants[i].seen())
		}
		if page.Next == "" {
			return legs, nil
		}
		if next = page.Next; !strings.HasPrefix(next, list+"?") {
			break
		}
	}
	return nil, again{why: whyFailing} // a list that leads nowhere
}

// get asks for one resource and reads it. Twilio not knowing it is an answer;
// whatever else is none is asked again later.
func (t *task) get(ctx context.Context, kind, path string, into any) (known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	answer, err := t.Twilio.Call(ctx, twilio.Call{
		AccountSid: t.decided.Key.AccountSid, Kind: kind, Method: http.MethodGet, Path: path,
	})
	switch {
	case err != nil:
		t.log.Warn("Twilio cannot be asked how things stand", "err", err)
		return false, again{why: whyUnsent}
	case answer.Status == http.StatusNotFound:
		return false, nil
	case answer.Status != http.StatusOK:
		return false, notNow(answer)
	case json.Unmarshal(answer.Body, into) != nil:
		return false, again{why: whyFailing}
	}
	return true, nil
}

// asSeen is the record as Twilio says it is.
func (t *task) asSeen() *projections.Conference {
	seen := t.sight.Seen
	if !t.sight.known {
		seen.Status = projections.StatusCompleted
	}
	return projections.Overlay(t.stored.Conference, seen)
}
