package announce

import (
	"encoding/xml"
	"fmt"

	"gavel/rules"
)

// nothing is TwiML that plays nothing and continues.
const nothing = xml.Header + "<Response/>"

// response is the TwiML of one announcement. At an AnnounceUrl, Twilio accepts
// Say, Play, Pause and Redirect (Docs: "Conferences resource", AnnounceUrl).
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

// twiml formats what a decision announces. Twilio fetches the sound file of
// `file`, or the TwiML of `url`, from there.
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
		return "", fmt.Errorf("encode TwiML: %w", err)
	}
	return xml.Header + string(text), nil
}
