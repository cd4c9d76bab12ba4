package main

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gavel/internal/twilio/twiliofake"
)

const conferences = "/2010-04-01/Accounts/" + account + "/Conferences"

var doorRows = []row{
	{"D1", "conference-start with CustomerCallSid", "204, in-progress", func(w *world) string {
		status := w.callback("conference-start", "SequenceNumber", "3", "CustomerCallSid", call)
		return fmt.Sprintf("%d, %s", status, w.until(conferences+"/"+conference+".json", "status", "in-progress"))
	}},
	{"D1", "announcement-end of a room whose name reads like a flag", "403", func(w *world) string {
		return fmt.Sprint(w.callback("announcement-end", "FriendlyName", "roomHoldtrue"))
	}},
	{"D2", "conference-end with Reason, without ReasonConferenceEnded", "204, completed, null", func(w *world) string {
		status := w.callback("conference-end", "Reason", "The last participant left")
		path := conferences + "/" + conference + ".json"
		return fmt.Sprintf("%d, %s, %s", status, w.until(path, "status", "completed"), w.field(path, "reason_conference_ended"))
	}},
	{"F14", "participant-join with ParticipantLabela and no label", "403", func(w *world) string {
		return fmt.Sprint(w.callback("participant-join", "ParticipantLabela", "gent"))
	}},
	{"D3", "status of a call; announcement-end without ConferenceSid", "204, 403, 1", func(w *world) string {
		foreign := url.Values{"AccountSid": {account}, "CallSid": {call}, "CallStatus": {"completed"}}
		statuses := fmt.Sprintf("%d, %d", w.post("/twilio/conference", foreign), w.callback("announcement-end", "ConferenceSid", "-"))
		return statuses + ", " + w.metric(`gavel_ignored_total{kind="call"}`)
	}},
	{"D4", "Event Streams item amd.detected without parameters", "204, ignored 1, dead letters none", func(w *world) string {
		status := w.stream(map[string]any{
			"type": "com.twilio.voice.status-callback.amd.detected", "data": map[string]any{"request": map[string]any{"parameters": map[string]any{}}},
		})
		letters := "some"
		if _, body := w.get("/v1/deadletters"); strings.Contains(body, `[]`) {
			letters = "none"
		}
		return fmt.Sprintf("%d, ignored %s, dead letters %s", status, w.metric(`gavel_event_streams_items_total{outcome="ignored"}`), letters)
	}},
	{"D5", "POST ?callId=CA... with the pattern callId=*; with a parameter that sorts first", "204, 403", func(w *world) string {
		w.settings = accountSettings("callback_queries: ['callId=*']")
		path := "/twilio/conference?callId=" + call
		return fmt.Sprintf("%d, %d", w.post(path, twilioForm("conference-start")), w.post(path, twilioForm("conference-start", "A", "1")))
	}},
	{"D6", "POST /twilio/conference/", "404, 1, logged", func(w *world) string {
		status := w.post("/twilio/conference/", twilioForm("conference-start"))
		log := w.eventually(func() string {
			if text := w.log.String(); strings.Contains(text, "reason=path") && strings.Contains(text, "expected_url=https://hooks.example.com/twilio/conference") {
				return "logged"
			}
			return ""
		})
		return fmt.Sprintf("%d, %s, %s", status, w.metric(`gavel_refused_total{reason="path"}`), log)
	}},
	{"D8", "conference-start dated 2024-06-17 16:49:31 UTC, sent twice", "204, 204, in-progress, [1]", func(w *world) string {
		first := w.callback("conference-start", "Timestamp", "2024-06-17 16:49:31 UTC")
		second := w.callback("conference-start", "Timestamp", "2024-06-17 16:49:31 UTC")
		path := "/v1/conferences/" + conference
		return fmt.Sprintf("%d, %d, %s, %s", first, second, w.until(path, "status", "in-progress"), w.field(path, "undated"))
	}},
	{"ES", "api-request.conference.modified Status=completed, then the end via the API", "204, 204, named, 1", func(w *world) string {
		now := time.Now().UTC()
		status := w.stream(map[string]any{
			"id": "EZ1", "type": "com.twilio.voice.api-request.conference.modified",
			"data": map[string]any{
				"eventSid": "VW1", "timestamp": now.Format(time.RFC3339),
				"request":  map[string]any{"url": "https://api.twilio.com" + conferences + "/" + conference + ".json", "parameters": map[string]any{"Status": "completed"}},
				"response": map[string]any{"responseCode": 200},
			},
		})
		end := w.callback("conference-end", "ReasonConferenceEnded", "conference-ended-via-api", "Reason", "")
		why := w.eventually(func() string {
			if _, body := w.get("/v1/conferences/" + conference); strings.Contains(member(body, "why"), "not through Gavel but by an API request") {
				return "named"
			}
			return ""
		})
		_, timeline := w.get("/v1/conferences/" + conference + "/timeline")
		return fmt.Sprintf("%d, %d, %s, %d", status, end, why, strings.Count(timeline, `"gavel.api-request-conference-modified.v1"`))
	}},
	{"ES", "insights.participant-summary.complete of a leg without callbacks", "204, completed", func(w *world) string {
		status := w.stream(map[string]any{
			"id": "EZ1", "type": "com.twilio.voice.insights.conference-summary.complete",
			"data": map[string]any{"account_sid": account, "conference_sid": conference, "friendly_name": "room", "end_time": "2026-11-22T09:00:00Z"},
		}, map[string]any{
			"id": "EZ2", "type": "com.twilio.voice.insights.participant-summary.complete",
			"data": map[string]any{"account_sid": account, "conference_sid": conference, "call_sid": call, "join_time": "2026-11-22T08:59:00Z"},
		})
		return fmt.Sprintf("%d, %s", status, w.until(conferences+"/"+conference+".json", "status", "completed"))
	}},
	{"ES", "conference-end without a reason, and a conference-summary that has it and who ended it", "204, 204, last-participant-left, named", func(w *world) string {
		end := w.callback("conference-end", "Reason", "The last participant left")
		status := w.stream(map[string]any{
			"id": "EZ1", "type": "com.twilio.voice.insights.conference-summary.complete",
			"data": map[string]any{
				"account_sid": account, "conference_sid": conference, "friendly_name": "room", "end_time": time.Now().UTC().Format(time.RFC3339),
				"end_reason": "last_participant_left", "ended_by": call,
			},
		})
		path, leg := conferences+"/"+conference+".json", "not named"
		reason := w.until(path, "reason_conference_ended", "last-participant-left")
		if w.field(path, "call_sid_ending_conference") == call {
			leg = "named"
		}
		return fmt.Sprintf("%d, %d, %s, %s", end, status, reason, leg)
	}},
	{"X1", "unquoted +15005550006 as a parameter in a test of rules", "0", func(w *world) string {
		rule := "rules:\n  - {name: number, when: 'participant.label == \"+15005550006\"', do: [end: {}]}\n"
		test := "rules: [rules.yaml]\ntests:\n  - name: a number is a text\n    timeline: [{at: 0s, event: participant-join, label: +15005550006}]\n" +
			"    expect: [{at: 0s, rule: number, do: end}]\n"
		for file, text := range map[string]string{"rules.yaml": rule, "rules.test.yaml": test} {
			if err := os.WriteFile(filepath.Join(w.temp(), file), []byte(text), 0o600); err != nil {
				failf("write rules: %v", err)
			}
		}
		code, out := w.runs("rules", "test", filepath.Join(w.temp(), "rules.test.yaml"))
		if code != 0 {
			return out
		}
		return fmt.Sprint(code)
	}},
	{"X2", "eight empty variables beside admin_listen in gavel.yaml, then conferences list without --server", "404, 0", func(w *world) string {
		for _, name := range []string{"ADMIN_LISTEN", "KEEP", "SYNC", "ROLES", "NATS_URL", "REDIS_URL", "TWILIO_API", "RULES"} {
			w.env = append(w.env, "GAVEL_"+name+"=")
		}
		w.settings = "admin_listen: 127.0.0.1:" + freePort() + "\n"
		status, _ := w.get("/metrics") // of the door's address
		code, _ := w.runs("conferences", "list", "--data-dir", filepath.Join(w.temp(), "data"))
		return fmt.Sprintf("%d, %d", status, code)
	}},
	{"X3", "DELETE //2010-04-01/... of a participant", "404, 20404", func(w *world) string {
		status, body := w.send(http.MethodDelete, "/"+conferences+"/"+conference+"/Participants/"+call+".json", "")
		return fmt.Sprintf("%d, %s", status, member(body, "code"))
	}},
	{"V5", "POST /twilio//conference, GET /v1/../v1/conferences", "404, 404", func(w *world) string {
		callback := w.post("/twilio//conference", twilioForm("conference-start"))
		status, _ := w.get("/v1/../v1/conferences")
		return fmt.Sprintf("%d, %d", callback, status)
	}},
	{"V5", "an apostrophe in a query, signed as ' and sent as %27, and the other way round", "204, 204", func(w *world) string {
		w.settings = accountSettings(`callback_queries: ["room=o'brien", "room=o%27brien"]`)
		const plain, encoded = "/twilio/conference?room=o'brien", "/twilio/conference?room=o%27brien"
		sent := func(path, signedAs, event string) int {
			form := twilioForm(event)
			signature := twiliofake.Signature(token, w.serve().public+signedAs, form)
			status, _ := w.send(http.MethodPost, path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "X-Twilio-Signature", signature)
			return status
		}
		return fmt.Sprintf("%d, %d", sent(encoded, plain, "conference-start"), sent(plain, encoded, "conference-end"))
	}},
	{"V5", "a public URL with a user name and a password", "204, not shown", func(w *world) string {
		w.args = []string{"--public-url", "https://user:canary@hooks.example.com"}
		status := w.callback("conference-start")
		w.post("/twilio/conference/", twilioForm("conference-start"))
		return fmt.Sprintf("%d, %s", status, w.eventually(func() string {
			switch text := w.log.String(); {
			case strings.Contains(text, "canary"):
				return "shown"
			case strings.Contains(text, "expected_url=https://hooks.example.com/"):
				return "not shown"
			}
			return ""
		}))
	}},
	{"V5", "rules check of a file with a byte order mark", "0", func(w *world) string {
		file := filepath.Join(w.temp(), "rules.yaml")
		rule := "\ufeffrules:\n  - {name: alone, when: size(conference.live) == 1, do: [end: {}]}\n"
		if err := os.WriteFile(file, []byte(rule), 0o600); err != nil {
			failf("write rules: %v", err)
		}
		code, _ := w.runs("rules", "check", file)
		return fmt.Sprint(code)
	}},
	{"V1", "series that the first alarms of operations.md need, right after a start", "none is missing", func(w *world) string {
		_, body := w.get("/metrics")
		var missing []string
		for _, series := range []string{
			`gavel_unavailable_total{reason="journal-unavailable"}`, `gavel_refused_total{reason="signature"}`, `gavel_dead_letters_total{kind="refused"}`,
			"gavel_journal_bytes", "gavel_journal_max_bytes", "gavel_sequence_gaps_total", "gavel_late_total", `gavel_action_waits_total{why="slow"}`,
			`gavel_action_waits_total{why="missing"}`, `gavel_store_condition{condition="journal-full"}`,
		} {
			if !strings.Contains(body, "\n"+series+" ") {
				missing = append(missing, series)
			}
		}
		if missing == nil {
			return "none is missing"
		}
		return strings.Join(missing, ", ")
	}},
	{"V3", "recording with RecordingSource=StartConferenceRecordingAPI", "204, StartConferenceRecordingAPI", func(w *world) string {
		recording := "RE0123456789abcdef0123456789abcdef"
		form := twilioForm("", "StatusCallbackEvent", "-", "FriendlyName", "-", "SequenceNumber", "-", "Timestamp", "-",
			"RecordingSid", recording, "RecordingStatus", "completed", "RecordingSource", "StartConferenceRecordingAPI",
			"RecordingDuration", "6", "RecordingChannels", "2", "RecordingUrl", "https://api.twilio.com/r")
		status := w.post("/twilio/recording", form)
		return fmt.Sprintf("%d, %s", status, w.field(conferences+"/"+conference+"/Recordings/"+recording+".json", "source"))
	}},
}

// freePort is a port that was free a moment ago.
func freePort() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		failf("find a port: %v", err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String()) // it has one
	return port
}
