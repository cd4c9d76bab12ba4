package announce

import (
	"encoding/xml"
	"fmt"

	"gavel/rules"
)

// nothing is TwiML that plays nothing and goes on.
const nothing = xml.Header + "<Response/>"

// response is the TwiML of one announcement. Twilio takes Say, Play, Pause and
// Redirect at an AnnounceUrl (Docs: "Conferences resource", AnnounceUrl).
type response struct {
	XMLName  xml.Name `xml:"Response"`
	Say      *say
	Play     string `xml:",omitempty"`
	Redirect string `xml:",omitempty"`
}

type say struct {
	Voice    string `xml:"voice,attr,omitempty"`
	Language string `xml:"language,attr,omitempty"`
	Text     string `xml:",chardata"`
}

// twiml writes what a decision announces. A file and TwiML of others' are
// fetched by Twilio, from where they are.
func twiml(d rules.Decision) (string, error) {
	r := response{Play: d.Params["file"], Redirect: d.Params["url"]}
	if text := d.Params["say"]; text != "" {
		r.Say = &say{Voice: d.Params["voice"], Language: d.Params["language"], Text: text}
	}
	if r == (response{}) {
		return nothing, nil
	}
	text, err := xml.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("write TwiML: %w", err)
	}
	return xml.Header + string(text), nil
}
