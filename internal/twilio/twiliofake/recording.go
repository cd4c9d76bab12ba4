package twiliofake

import (
	"strconv"
	"sync/atomic"
	"time"
)

// recordingDelay is how long after the end a recording is said to be ready.
const recordingDelay = 3 * time.Second

// recording is the recording of one conference's mix.
type recording struct {
	sid     string
	started time.Time
}

// beginRecording starts it: with the mixing, when record-from-start was asked.
func (t *Twilio) beginRecording(c *conference) {
	c.recording = &recording{sid: t.sid("RE"), started: t.clock.Now()}
	t.tellRecording(c, "in-progress", nil)
}

// finishRecording tells, a little after the end, that the recording is ready,
// or absent when it holds no sound.
func (t *Twilio) finishRecording(c *conference) {
	seconds := int(t.clock.Now().Sub(c.recording.started) / time.Second)
	status := either(seconds > 0, "completed", "absent")
	t.agenda.after(recordingDelay, func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.tellRecording(c, status, params{"RecordingDuration": strconv.Itoa(seconds)})
		return nil
	})
}

// tellRecording sends a recordingStatusCallback, which counts no
// SequenceNumber and names neither event nor room.
func (t *Twilio) tellRecording(c *conference, status string, extra params) {
	if !c.recordings.wants(status) {
		return
	}
	t.outbox = append(t.outbox, callback{
		to:            c.recordings,
		conferenceSid: c.sid,
		event:         "recording-" + status,
		token:         t.token(),
		accepted:      new(atomic.Bool),
		params: params{
			"AccountSid":         t.accountSid,
			"ConferenceSid":      c.sid,
			"RecordingSid":       c.recording.sid,
			"RecordingUrl":       "https://api.twilio.com/2010-04-01/Accounts/" + t.accountSid + "/Recordings/" + c.recording.sid,
			"RecordingStatus":    status,
			"RecordingChannels":  "1",
			"RecordingStartTime": timestamp(c.recording.started),
			"RecordingSource":    "Conference",
		}.with(extra),
	})
}
