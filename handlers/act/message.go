package act

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"gavel/rules"
)

// messageType is the CloudEvents type of notifications.
const messageType = "gavel.rule.v1"

// message is what publish and webhook send: a CloudEvents 1.0 event in JSON.
// Its id is the decision's, so that a receiver can detect duplicates.
type message struct {
	SpecVersion     string      `json:"specversion"`
	ID              string      `json:"id"`
	Type            string      `json:"type"`
	Source          string      `json:"source"`
	Subject         string      `json:"subject"`
	Time            time.Time   `json:"time"`
	DataContentType string      `json:"datacontenttype"`
	Data            messageData `json:"data"`
}

// messageData states the rule and what it is about. What the step adds is apart,
// in Data, so that none of its keys can hide one of these.
type messageData struct {
	Rule          string            `json:"rule"`
	AccountSid    string            `json:"account_sid"`
	ConferenceSid string            `json:"conference_sid,omitempty"` // "" where a rule counts over many
	CallSid       string            `json:"call_sid,omitempty"`
	AsOf          time.Time         `json:"as_of"`
	Late          bool              `json:"late"`
	Data          map[string]string `json:"data,omitempty"`
}

// newMessage returns a decision's message. It is late if the fact behind it was
// late, or if it is sent after rules.MaxAge.
func newMessage(d rules.Decision, now time.Time) ([]byte, error) {
	source := "/accounts/" + d.AccountSid
	if d.ConferenceSid != "" {
		source += "/conferences/" + d.ConferenceSid
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // people read it, and it is not HTML
	err := e.Encode(message{
		SpecVersion: "1.0", ID: d.ID, Type: messageType, Source: source, Subject: d.Rule, Time: d.AsOf.UTC(),
		DataContentType: "application/json",
		Data: messageData{
			Rule: d.Rule, AccountSid: d.AccountSid, ConferenceSid: d.ConferenceSid, CallSid: cmp.Or(d.CallSid, d.Subject),
			AsOf: d.AsOf.UTC(), Late: d.Late || now.Sub(d.AsOf) > rules.MaxAge, Data: d.Data,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("write message: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
