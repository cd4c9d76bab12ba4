package twiliofake

import (
	"bytes"
	"fmt"
	"maps"
	"sync/atomic"
	"time"
)

// announcementTime is how long an announcement plays that REST asked for,
// whatever is at its URL.
const announcementTime = 2 * time.Second

// Announce tells that something was played to the whole conference. A failure
// is the text of ReasonAnnouncementFailed; Twilio knows one only for errors of
// its own.
func (t *Twilio) Announce(conferenceSid, url, failure string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.bySid[conferenceSid]
	if !ok || c.completed {
		return fmt.Errorf("announce to conference %s: %w", conferenceSid, ErrNoConference)
	}
	t.tellAnnouncement(c, nil, url, failure)
	return nil
}

// AnnounceTo tells that something was played to one participant.
func (t *Twilio) AnnounceTo(callSid, url, failure string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.legs[callSid]
	if !ok {
		return fmt.Errorf("announce to participant %s: %w", callSid, ErrNoParticipant)
	}
	t.tellAnnouncement(p.conference, p, url, failure)
	return nil
}

// play begins an announcement to the conference, or to one participant of it.
// One that outlives the conference is not told of, nor is one that nobody hears
// because nobody came in.
func (t *Twilio) play(c *conference, p *participant, url, method string) {
	if t.fetches {
		t.fetch(c, p, url, method)
	}
	t.agenda.after(announcementTime, func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		if !c.completed && c.entered && (p == nil || p.entered) {
			t.tellAnnouncement(c, p, url, "")
		}
		return nil
	})
}

// fetch asks for what is to be played, signed as every request of Twilio's. The
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
		answered:      func(twiml []byte) { t.hear(url, twiml) },
	})
}

// hear notes whether there was anything to be heard.
func (t *Twilio) hear(url string, twiml []byte) {
	if !bytes.Contains(twiml, []byte("<Say")) && !bytes.Contains(twiml, []byte("<Play")) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard[url]++
}

// Heard returns how often each AnnounceUrl was answered with anything to be
// heard.
func (t *Twilio) Heard() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.heard)
}

// fetchedAnnouncement stands for a request that tells nothing.
const fetchedAnnouncement = "fetch"

// tellAnnouncement tells the end of one. A participant is described only as
// long as it is in the conference (Twilio, TwiML <Conference>).
func (t *Twilio) tellAnnouncement(c *conference, p *participant, url, failure string) {
	said := params{"AnnounceUrl": url}
	said.set("ReasonAnnouncementFailed", failure)
	if p != nil && t.legs[p.callSid] == p {
		said.with(p.state())
	}
	t.tell(c, either(failure == "", "announcement-end", "announcement-fail"), said)
}
