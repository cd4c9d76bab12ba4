package act

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"gavel/rules"
)

// messageType is the CloudEvents type of what rules tell.
const messageType = "gavel.rule.v1"

// message is what publish and webhook send: a CloudEvents 1.0 event in JSON.
// Its id is the decision's, so that whoever gets it twice knows it again.
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

// messageData says which rule found what. What the step adds stands apart in
// Data, so that no key of its writer's can hide one of these.
type messageData struct {
	Rule          string            `json:"rule"`
	AccountSid    string            `json:"account_sid"`
	ConferenceSid string            `json:"conference_sid,omitempty"` // "" where a rule counts over many
	CallSid       string            `json:"call_sid,omitempty"`
	AsOf          time.Time         `json:"as_of"`
	Late          bool              `json:"late"`
	Data          map[string]string `json:"data,omitempty"`
}

// newMessage writes what a decision says. It is late where the fact behind it
// was, or where it goes out later than anybody would act on it.
func newMessage(d rules.Decision, now time.Time) ([]byte, error) {
	source := "/accounts/" + d.AccountSid
	if d.ConferenceSid != "" {
		source += "/conferences/" + d.ConferenceSid
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it is no HTML, and people read it
	err := e.Encode(message{
		SpecVersion:     "1.0",
		ID:              d.ID,
		Type:            messageType,
		Source:          source,
		Subject:         d.Rule,
		Time:            d.AsOf.UTC(),
		DataContentType: "application/json",
		Data: messageData{
			Rule:          d.Rule,
			AccountSid:    d.AccountSid,
			ConferenceSid: d.ConferenceSid,
			CallSid:       cmp.Or(d.CallSid, d.Subject),
			AsOf:          d.AsOf.UTC(),
			Late:          d.Late || now.Sub(d.AsOf) > rules.MaxAge,
			Data:          d.Data,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("write message: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
