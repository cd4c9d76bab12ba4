package twiliofake

import (
	"bytes"
	"fmt"
	"maps"
	"sync/atomic"
	"time"
)

// announcementTime is how long an announcement requested by REST plays, whatever is at its URL.
const announcementTime = 2 * time.Second

// Announce sends the callback of an announcement to the whole conference. A failure is the text of
// ReasonAnnouncementFailed, which Twilio sends only for its own errors.
func (t *Twilio) Announce(conferenceSid, url, failure string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.bySid[conferenceSid]
	if !ok || c.completed {
		return fmt.Errorf("announce to conference %s: %w", conferenceSid, ErrNoConference)
	}
	t.postAnnouncement(c, nil, url, failure)
	return nil
}

// AnnounceTo sends the callback of an announcement to one participant.
func (t *Twilio) AnnounceTo(callSid, url, failure string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.legs[callSid]
	if !ok {
		return fmt.Errorf("announce to participant %s: %w", callSid, ErrNoParticipant)
	}
	t.postAnnouncement(p.conference, p, url, failure)
	return nil
}

// play starts an announcement to the conference, or to one participant of it. It sends no callback
// if the conference ends first, or if no leg has entered it.
func (t *Twilio) play(c *conference, p *participant, url, method string) {
	if t.fetches {
		t.fetch(c, p, url, method)
	}
	t.agenda.after(announcementTime, func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		if !c.completed && c.entered && (p == nil || p.entered) {
			t.postAnnouncement(c, p, url, "")
		}
		return nil
	})
}

// fetch requests the announcement, signed as every request of Twilio's. The
// parameters besides AccountSid are not confirmed.
func (t *Twilio) fetch(c *conference, p *participant, url, method string) {
	asked := params{"AccountSid": t.accountSid, "ConferenceSid": c.sid}
	if p != nil {
		asked["CallSid"] = p.callSid
	}
	t.post(callback{
		at:            t.clock.Now(),
		to:            Subscription{URL: url, Method: method},
		conferenceSid: c.sid,
		event:         fetchedAnnouncement,
		token:         t.token(),
		accepted:      new(atomic.Bool),
		params:        asked,
		answered:      func(twiml []byte) { t.countAudible(url, twiml) },
	})
}

// countAudible counts a fetched announcement that has something to play.
func (t *Twilio) countAudible(url string, twiml []byte) {
	if !bytes.Contains(twiml, []byte("<Say")) && !bytes.Contains(twiml, []byte("<Play")) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.played[url]++
}

// Played returns how often each AnnounceUrl was answered with something to play.
func (t *Twilio) Played() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.played)
}

// fetchedAnnouncement marks a request that is not an event.
const fetchedAnnouncement = "fetch"

// postAnnouncement sends the end of an announcement. The callback describes a
// participant only while it is in the conference (Twilio, TwiML <Conference>).
func (t *Twilio) postAnnouncement(c *conference, p *participant, url, failure string) {
	said := params{"AnnounceUrl": url}
	said.set("ReasonAnnouncementFailed", failure)
	if p != nil && t.legs[p.callSid] == p {
		said.with(p.state())
	}
	t.postEvent(c, either(failure == "", "announcement-end", "announcement-fail"), said)
}
