package main

import (
	"fmt"
)

const conferences = "/2010-04-01/Accounts/" + account + "/Conferences"

var doorRows = []row{
	{"D1", "conference-start with CustomerCallSid", "204, in-progress", func(w *world) string {
		status := w.callback("conference-start", "SequenceNumber", "3", "CustomerCallSid", call)
		return fmt.Sprintf("%d, %s", status, w.field(conferences+"/"+conference+".json", "status"))
	}},
	{"D1", "announcement-end of a room whose name reads like a flag", "403", func(w *world) string {
		return fmt.Sprint(w.callback("announcement-end", "FriendlyName", "roomHoldtrue"))
	}},
	{"D2", "conference-end with Reason, without ReasonConferenceEnded", "204, completed, null", func(w *world) string {
		status := w.callback("conference-end", "Reason", "The last participant left")
		path := conferences + "/" + conference + ".json"
		return fmt.Sprintf("%d, %s, %s", status, w.field(path, "status"), w.field(path, "reason_conference_ended"))
	}},
	{"F14", "participant-join with ParticipantLabela and no label", "403", func(w *world) string {
		return fmt.Sprint(w.callback("participant-join", "ParticipantLabela", "gent"))
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
