package twiliofake

import (
	"strconv"
	"sync/atomic"
	"time"
)

// recordingDelay is how long after the end a recording is ready.
const recordingDelay = 3 * time.Second

// The states of a recording (Twilio, conference Recording resource: status).
const (
	recordingInProgress = "in-progress"
	recordingPaused     = "paused"
	recordingProcessing = "processing"
	recordingCompleted  = "completed"
	recordingAbsent     = "absent"
)

// recording is the recording of one conference's mixed audio.
type recording struct {
	sid     string
	callSid string // of the first leg
	status  string
	started time.Time
	updated time.Time
	paused  time.Time     // since then
	skipped time.Duration // the time that pauses left out
	skip    bool          // the current pause is left out, not recorded as silence
	deleted bool
}

// running reports whether it can still be paused or resumed.
func (r *recording) running() bool {
	return !r.deleted && (r.status == recordingInProgress || r.status == recordingPaused)
}

// beginRecording starts the recording together with mixing, if record-from-start is set.
func (t *Twilio) beginRecording(c *conference) {
	now := t.clock.Now()
	c.recording = &recording{
		sid: t.sid("RE"), callSid: c.participants[0].callSid, status: recordingInProgress, started: now, updated: now,
	}
	t.postRecording(c, recordingInProgress, nil)
}

// pause pauses the recording; meanwhile the audio is left out or replaced by
// silence (Twilio, conference Recording resource: PauseBehavior).
// recordingStatusCallback has no event for either end of a pause.
func (r *recording) pause(now time.Time, skip bool) {
	r.status, r.paused, r.skip, r.updated = recordingPaused, now, skip, now
}

func (r *recording) resume(now time.Time) {
	if r.skip {
		r.skipped += now.Sub(r.paused)
	}
	r.status, r.updated = recordingInProgress, now
}

// finishRecording sends, shortly after the end, that the recording is ready, or
// absent if it holds no sound.
func (t *Twilio) finishRecording(c *conference) {
	r := c.recording
	if r.deleted {
		return
	}
	if r.status == recordingPaused {
		r.resume(t.clock.Now())
	}
	r.status, r.updated = recordingProcessing, t.clock.Now()
	t.agenda.after(recordingDelay, func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		if !r.deleted {
			r.status = either(r.seconds() > 0, recordingCompleted, recordingAbsent)
			t.postRecording(c, r.status, params{"RecordingDuration": strconv.Itoa(r.seconds())})
		}
		return nil
	})
}

// seconds is the recording's length, once it has ended.
func (r *recording) seconds() int { return int((r.updated.Sub(r.started) - r.skipped) / time.Second) }

// postRecording sends a recordingStatusCallback, which has no SequenceNumber
// and names neither the event nor the room.
func (t *Twilio) postRecording(c *conference, status string, extra params) {
	if !c.recordings.has(status) {
		return
	}
	t.post(callback{
		at:            t.clock.Now(),
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
