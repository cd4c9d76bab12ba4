package events

import (
	"fmt"
	"strings"
)

// asking are the words for each action, behind "asked Twilio to", or "asked to" for a notification.
var asking = map[Do]string{
	DoEnd:               "end it",
	DoAnnounce:          "play an announcement",
	DoAddParticipant:    "call a participant in",
	DoUpdateParticipant: "change a participant",
	DoKick:              "remove a participant",
	DoUpdateRecording:   "change a recording",
	DoDeleteRecording:   "delete a recording",
	DoPublish:           "publish a message",
	DoWebhook:           "call a webhook",
}

// String names the actor to people: "rule end-orphaned", "kate (SK0123...)", or the SID alone.
func (a Actor) String() string {
	switch {
	case a.Rule != "":
		return "rule " + a.Rule
	case a.Name == "":
		return a.Sid
	}
	return a.Name + " (" + a.Sid + ")"
}

// Words returns the action as a sentence without its full stop: "kate (SK...)
// asked Twilio to end it".
func (a Action) Words() string {
	receiver := "Twilio "
	if a.Do == DoPublish || a.Do == DoWebhook {
		receiver = ""
	}
	text := a.Actor.String() + " asked " + receiver + "to " + asking[a.Do]
	params, err := ParseForm(a.Asked, MaxParams)
	if err != nil || len(params) == 0 || a.Do == DoEnd || a.Do == DoAnnounce {
		return text
	}
	asked := make([]string, len(params))
	for i, p := range params {
		asked[i] = p.Name + "=" + p.Value
	}
	return text + ": " + strings.Join(asked, ", ")
}

// Words returns the end of an action as a sentence without its full stop:
// "Twilio refused: 404/20404", which are the HTTP status and Twilio's error code.
func (o Outcome) Words(asked Do) string {
	text := o.words()
	if asked == DoPublish || asked == DoWebhook {
		return strings.Replace(text, "Twilio", "the receiver", 1)
	}
	return text
}

func (o Outcome) words() string {
	answer := fmt.Sprint(o.Status)
	if o.Code != 0 {
		answer += fmt.Sprintf("/%d", o.Code)
	}
	switch {
	case results[o.Result] != "" && o.Why != "":
		return results[o.Result] + " (" + o.Why + ")"
	case results[o.Result] != "":
		return results[o.Result]
	case o.Result == Done && o.Why == "already":
		return "it was so already"
	case o.Result == Done && o.Status == 0 && o.Why == "":
		return "it was done"
	case o.Result == Done:
		return "Twilio did so"
	case o.Result == Failed && o.Status == 0:
		return "it was never sent to Twilio"
	case o.Result == Failed:
		return "Twilio refused: " + answer
	case o.Status != 0:
		return "Twilio failed, it may have happened: " + answer
	}
	return "no answer, it may have happened"
}
