package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gavel/events"
)

// params makes the callback that the flags describe: the parameters that Twilio
// always sends with the event, with plausible values. --param overrides them.
func (c *sendCommand) params(account string) (events.Params, error) {
	account = cmp.Or(account, "AC"+strings.Repeat("0", 32))
	conference := cmp.Or(c.Conference, madeSid("CF", account, c.Name))
	call := cmp.Or(c.Call, madeSid("CA", conference, c.Label))
	var p events.Params
	if status, ok := strings.CutPrefix(c.Event, "recording-"); ok {
		p = sampleRecording(account, conference, status, time.Now())
	} else {
		p = c.sampleEvent(account, conference, call)
	}
	for _, given := range c.Param {
		name, value, ok := strings.Cut(given, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--param: %q is not NAME=VALUE", given)
		}
		p = replaced(p, name, value)
	}
	return p, nil
}

func (c *sendCommand) sampleEvent(account, conference, call string) events.Params {
	p := events.Params{
		{Name: "AccountSid", Value: account},
		{Name: "ConferenceSid", Value: conference},
		{Name: "FriendlyName", Value: c.Name},
		{Name: "SequenceNumber", Value: strconv.FormatInt(c.Seq, 10)},
		{Name: "StatusCallbackEvent", Value: c.Event},
		{Name: "Timestamp", Value: time.Now().UTC().Format(time.RFC1123Z)},
	}
	switch kind := events.Kind(c.Event); {
	case kind == events.ConferenceEnd:
		p = append(p, events.Param{Name: "ReasonConferenceEnded", Value: "last-participant-left"})
	case strings.HasPrefix(c.Event, "participant-"):
		p = append(p, sampleParticipant(kind, call, c.Label)...)
	case strings.HasPrefix(c.Event, "announcement-"):
		p = append(p, events.Param{Name: "AnnounceUrl", Value: "https://example.com/announcement.mp3"})
	}
	return p
}

func sampleParticipant(kind events.Kind, call, label string) events.Params {
	p := events.Params{
		{Name: "CallSid", Value: call},
		{Name: "Muted", Value: strconv.FormatBool(kind == events.ParticipantMute)},
		{Name: "Hold", Value: strconv.FormatBool(kind == events.ParticipantHold)},
		{Name: "Coaching", Value: "false"},
		{Name: "StartConferenceOnEnter", Value: "true"},
		{Name: "EndConferenceOnExit", Value: "false"},
	}
	if label != "" {
		p = append(p, events.Param{Name: "ParticipantLabel", Value: label})
	}
	if kind == events.ParticipantLeave {
		p = append(p,
			events.Param{Name: "ParticipantCallStatus", Value: "completed"},
			events.Param{Name: "ReasonParticipantLeft", Value: "participant_hung_up"})
	}
	return p
}

func sampleRecording(account, conference, status string, now time.Time) events.Params {
	recording := madeSid("RE", conference)
	p := events.Params{
		{Name: "AccountSid", Value: account},
		{Name: "ConferenceSid", Value: conference},
		{Name: "RecordingSid", Value: recording},
		{Name: "RecordingStatus", Value: status},
		{Name: "RecordingUrl", Value: "https://api.twilio.com/2010-04-01/Accounts/" + account + "/Recordings/" + recording},
		{Name: "RecordingChannels", Value: "1"},
		{Name: "RecordingStartTime", Value: now.UTC().Format(time.RFC1123Z)},
		{Name: "RecordingSource", Value: "Conference"},
	}
	if status == "completed" {
		p = append(p, events.Param{Name: "RecordingDuration", Value: "60"})
	}
	return p
}

// madeSid makes a SID from words; the same words make the same SID.
func madeSid(prefix string, words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return prefix + hex.EncodeToString(sum[:16])
}

// replaced returns p with the parameter name set to value.
func replaced(p events.Params, name, value string) events.Params {
	i := slices.IndexFunc(p, func(q events.Param) bool { return q.Name == name })
	if i < 0 {
		return append(p, events.Param{Name: name, Value: value})
	}
	p[i].Value = value
	return p
}
