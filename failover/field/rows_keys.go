package main

import (
	"fmt"
	"net/http"
	"strings"

	"gavel/internal/twilio/twiliofake"
)

var keyRows = []row{
	{"D7", "callbacks signed by the last of four tokens, and by a region's", "204, 204", func(w *world) string {
		w.settings = "accounts:\n  - sid: " + account + "\n    auth_tokens: [" + token + ", second, third, fourth]\n" +
			"    regions: [{region: ie1, api: 'https://api.dublin.ie1.twilio.com', auth_tokens: [regional]}]\n"
		return fmt.Sprintf("%d, %d", w.signedBy("fourth", "conference-start"), w.signedBy("regional", "conference-end"))
	}},
	{"D9", "callbacks signed by a shared key, HMAC_SHA256 and HMAC_SHA1, and by the token", "204, 204, 204", func(w *world) string {
		const secret = "the secret of the shared key"
		w.settings = accountSettings("shared_keys: [{id: webhooks_sharedkey_1, secret: '" + secret + "'}]")
		form := twilioForm("conference-start")
		long := twiliofake.SharedSignature(secret, "HMAC_SHA256", w.serve().public+"/twilio/conference", form)
		status, _ := w.send(http.MethodPost, "/twilio/conference", form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "X-Twilio-Signature", long)
		return fmt.Sprintf("%d, %d, %d", status, w.signedBy(secret, "conference-end"), w.callback("participant-join"))
	}},
}

// signedBy posts a callback that a secret signs by HMAC-SHA1.
func (w *world) signedBy(secret, event string) int {
	form := twilioForm(event)
	signature := twiliofake.Signature(secret, w.serve().public+"/twilio/conference", form)
	status, _ := w.send(http.MethodPost, "/twilio/conference", form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "X-Twilio-Signature", signature)
	return status
}

var pictureRows = []row{
	{"P1", "one waits, and the call to another was busy", "init, 1 joined, participant_add_failed", func(w *world) string {
		w.callback("participant-join", "StartConferenceOnEnter", "false")
		w.callback("participant-leave", "CallSid", other, "SequenceNumber", "2", "ReasonParticipantLeft", "participant_add_failed", "ParticipantCallStatus", "busy")
		path := "/v1/conferences/" + conference
		reason := w.field(path, "participants.0.reason_participant_left") // waits for the second callback
		_, body := w.get(path)
		return fmt.Sprintf("%s, %s joined, %s", member(body, "status"), member(body, "joined"), reason)
	}},
	{"P2", "one waits: the lists of init and in-progress", "1, 1", func(w *world) string {
		w.callback("participant-join", "StartConferenceOnEnter", "false")
		w.field(conferences+"/"+conference+".json", "sid")
		return w.listed("Status=init") + ", " + w.listed("Status=in-progress")
	}},
	{"P4", "two joined and left, without start and end", "completed", func(w *world) string {
		w.callback("participant-join")
		w.callback("participant-join", "CallSid", other, "SequenceNumber", "2")
		w.callback("participant-leave", "SequenceNumber", "3")
		w.callback("participant-leave", "CallSid", other, "SequenceNumber", "4")
		return w.eventually(func() string {
			if _, body := w.get(conferences + "/" + conference + ".json"); member(body, "status") == "completed" {
				return "completed"
			}
			return ""
		})
	}},
}

// listed is the number of conferences in a list.
func (w *world) listed(query string) string {
	_, body := w.get(conferences + ".json?" + query)
	return fmt.Sprint(strings.Count(body, `"account_sid"`))
}
