package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

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
	{"P3", "POST Hold=true, which Twilio answers with hold true, and no callback", "200, true", func(w *world) string {
		w.twilioAPI = answers(http.StatusOK, `{"call_sid":"`+call+`","status":"connected","hold":true,"muted":false,"coaching":false,`+
			`"start_conference_on_enter":true,"end_conference_on_exit":false}`)
		w.callback("participant-join")
		path := conferences + "/" + conference + "/Participants/" + call + ".json"
		w.field(path, "hold")
		status, _ := w.send(http.MethodPost, path, "Hold=true", "Content-Type", "application/x-www-form-urlencoded")
		return fmt.Sprintf("%d, %s", status, w.until(path, "hold", "true"))
	}},
	{"P3", "POST Hold=true before the leg's join arrives, answered with hold true: the leg after its join, and after a later unhold", "200, true, false", func(w *world) string {
		w.twilioAPI = answers(http.StatusOK, `{"call_sid":"`+other+`","status":"connected","hold":true,"start_conference_on_enter":true}`)
		w.callback("participant-join")
		path := conferences + "/" + conference + "/Participants/"
		w.field(path+call+".json", "hold")
		status, _ := w.send(http.MethodPost, path+other+".json", "Hold=true", "Content-Type", "application/x-www-form-urlencoded")
		w.callback("participant-join", "CallSid", other, "SequenceNumber", "2")
		w.eventually(func() string { // both joins are folded
			if _, timeline := w.get("/v1/conferences/" + conference + "/timeline"); strings.Count(timeline, `"gavel.participant-join.v1"`) == 2 {
				return "folded"
			}
			return ""
		})
		held := w.field(path+other+".json", "hold")
		w.callback("participant-unhold", "CallSid", other, "SequenceNumber", "3")
		return fmt.Sprintf("%d, %s, %s", status, held, w.until(path+other+".json", "hold", "false"))
	}},
	{"P3", "POST Participants, answered 201: the leg while it rings, and after its callback", "201, queued, boss, coaches; gone", func(w *world) string {
		w.twilioAPI = answers(http.StatusCreated, `{"call_sid":"`+other+`","conference_sid":"`+conference+`","status":"queued","label":"boss",`+
			`"coaching":true,"call_sid_to_coach":"`+call+`"}`)
		w.callback("participant-join")
		list := conferences + "/" + conference + "/Participants"
		w.field(list+"/"+call+".json", "hold")
		status, _ := w.send(http.MethodPost, list+".json", "From=%2B15005550006&To=%2B15005550009&Label=boss", "Content-Type", "application/x-www-form-urlencoded")
		path := list + "/boss.json"
		seen := fmt.Sprintf("%d, %s, %s", status, w.field(path, "status"), w.field(path, "label"))
		if w.field(path, "call_sid_to_coach") == call {
			seen += ", coaches"
		}
		w.callback("participant-leave", "CallSid", other, "SequenceNumber", "2", "ReasonParticipantLeft", "participant_add_failed", "ParticipantCallStatus", "busy")
		return seen + "; " + w.eventually(func() string {
			if status, _ := w.get(path); status == http.StatusNotFound {
				return "gone"
			}
			return ""
		})
	}},
	{"P3", "Hold=true and Hold=false within a second, without callbacks", "200, 200, false", func(w *world) string {
		w.twilioAPI = http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
			answer.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(answer, `{"call_sid":"`+call+`","status":"connected","hold":`+request.FormValue("Hold")+`,"start_conference_on_enter":true}`)
		})
		w.callback("participant-join")
		path := conferences + "/" + conference + "/Participants/" + call + ".json"
		w.field(path, "hold")
		hold := func(on string) int {
			status, _ := w.send(http.MethodPost, path, "Hold="+on, "Content-Type", "application/x-www-form-urlencoded")
			return status
		}
		first, second := hold("true"), hold("false")
		w.eventually(func() string { // both answers are folded
			if _, timeline := w.get("/v1/conferences/" + conference + "/timeline"); strings.Count(timeline, `"gavel.gavel-healed.v1"`) == 2 {
				return "folded"
			}
			return ""
		})
		return fmt.Sprintf("%d, %d, %s", first, second, w.field(path, "hold"))
	}},
	{"P3", "POST Participants of a room by its name, answered 201, and Muted=true to the leg that rings", "201, new room, 200, true", func(w *world) string {
		w.twilioAPI = http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
			answer.Header().Set("Content-Type", "application/json")
			muted := "true"
			if request.FormValue("To") != "" {
				muted = "false"
				answer.WriteHeader(http.StatusCreated)
			}
			_, _ = io.WriteString(answer, `{"call_sid":"`+other+`","conference_sid":"`+conference+`","status":"queued","muted":`+muted+`}`)
		})
		status, _ := w.send(http.MethodPost, conferences+"/new%20room/Participants.json", "From=%2B15005550006&To=%2B15005550009", "Content-Type", "application/x-www-form-urlencoded")
		name := w.until(conferences+"/"+conference+".json", "friendly_name", "new room")
		path := conferences + "/" + conference + "/Participants/" + other + ".json"
		muted, _ := w.send(http.MethodPost, path, "Muted=true", "Content-Type", "application/x-www-form-urlencoded")
		return fmt.Sprintf("%d, %s, %d, %s", status, name, muted, w.until(path, "muted", "true"))
	}},
	{"P6", "two conferences of one name in one second, the live one with the lesser SID: look-ups by name", "the live one, the live one", func(w *world) string {
		w.rules()
		dead, when := strings.Replace(conference, "e08c", "ffff", 1), time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000")
		w.callback("conference-start", "ConferenceSid", dead, "Timestamp", when)
		w.callback("conference-end", "ConferenceSid", dead, "SequenceNumber", "2", "ReasonConferenceEnded", "last-participant-left", "Timestamp", when)
		w.callback("conference-start", "Timestamp", when)
		w.until("/v1/conferences/"+conference, "status", "in-progress")
		w.until("/v1/conferences/"+dead, "status", "completed")
		live := func(sid string) string {
			if sid == conference {
				return "the live one"
			}
			return sid
		}
		byName := live(w.field("/v1/conferences/room", "sid"))
		_, body := w.send(http.MethodPost, "/v1/conferences/room/exempt", `{"for":"5m","reason":"field"}`, "Content-Type", "application/json")
		return byName + ", " + live(member(body, "live.0"))
	}},
	{"P7", "one room name in two accounts, gavel exempt NAME", "1, both accounts, --account", func(w *world) string {
		w.rules()
		const account2, conference2, token2 = "AC00000000000000000000000000000002", "CF00000000000000000000000000000002", "its own"
		w.settings = accountSettings("") + "  - {sid: " + account2 + ", auth_tokens: {current: " + token2 + "}}\n"
		w.callback("conference-start")
		form := twilioForm("conference-start", "AccountSid", account2, "ConferenceSid", conference2)
		signature := twiliofake.Signature(token2, w.serve().public+"/twilio/conference", form)
		w.send(http.MethodPost, "/twilio/conference", form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "X-Twilio-Signature", signature)
		exempt := func(more ...string) (int, string) {
			return w.runs(append([]string{"exempt", "room", "--for", "5m", "--reason", "field", "--server", w.gavel.url, "--data-dir", filepath.Join(w.temp(), "data")}, more...)...)
		}
		w.eventually(func() string { // both are in the picture
			if code, _ := exempt("--account", account2); code == 0 {
				return "seen"
			}
			return ""
		})
		w.field("/v1/conferences/"+conference, "sid")
		code, out := exempt()
		seen := fmt.Sprint(code)
		if strings.Contains(out, account) && strings.Contains(out, account2) {
			seen += ", both accounts"
		}
		if strings.Contains(out, "--account") {
			seen += ", --account"
		}
		return seen
	}},
	{"REST", "a conference ends, and Twilio's API has its region: the fields before and after role act fetched it", "null, ie1, 1", func(w *world) string {
		w.twilioAPI = answers(http.StatusOK, `{"region":"ie1","status":"completed","reason_conference_ended":"last-participant-left"}`)
		w.callback("conference-start")
		w.callback("conference-end", "SequenceNumber", "2", "Reason", "The last participant left")
		path := conferences + "/" + conference + ".json"
		before := w.field(path, "region")
		return fmt.Sprintf("%s, %s, %s", before, w.until(path, "region", "ie1"), w.metric(`gavel_ended_fetches_total{result="recorded"}`))
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

// rules puts one rule in force that never holds: without rules nothing can be exempted.
func (w *world) rules() {
	file := filepath.Join(w.temp(), "rules.yaml")
	if err := os.WriteFile(file, []byte("rules:\n  - {name: never, when: size(conference.live) == 250, do: [end: {}]}\n"), 0o600); err != nil {
		failf("write rules: %v", err)
	}
	w.args = append(w.args, "--rules", file)
}

// answers is a Twilio that answers every request in this way.
func answers(status int, body string) http.Handler {
	return http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		answer.Header().Set("Content-Type", "application/json")
		answer.WriteHeader(status)
		_, _ = io.WriteString(answer, body) // the row sees what the client gets
	})
}

// listed is the number of conferences in a list.
func (w *world) listed(query string) string {
	_, body := w.get(conferences + ".json?" + query)
	return fmt.Sprint(strings.Count(body, `"account_sid"`))
}
