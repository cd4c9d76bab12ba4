package twiliofake

import (
	"strconv"
	"sync/atomic"
	"time"
)

// recordingDelay is how long after the end a recording is said to be ready.
const recordingDelay = 3 * time.Second

// The states of a recording (Twilio, conference Recording resource: status).
const (
	recordingInProgress = "in-progress"
	recordingPaused     = "paused"
	recordingProcessing = "processing"
	recordingCompleted  = "completed"
	recordingAbsent     = "absent"
)

// recording is the recording of one conference's mix.
type recording struct {
	sid     string
	callSid string // of the leg that was there first
	status  string
	started time.Time
	updated time.Time
	paused  time.Time     // since when
	skipped time.Duration // what pauses left out
	skip    bool          // the pause under way leaves out; else it holds silence
	deleted bool
}

// running reports whether it can still be paused or resumed.
func (r *recording) running() bool {
	return !r.deleted && (r.status == recordingInProgress || r.status == recordingPaused)
}

// beginRecording starts it: with the mixing, when record-from-start was asked.
func (t *Twilio) beginRecording(c *conference) {
	now := t.clock.Now()
	c.recording = &recording{
		sid: t.sid("RE"), callSid: c.participants[0].callSid, status: recordingInProgress, started: now, updated: now,
	}
	t.tellRecording(c, recordingInProgress, nil)
}

// pause stops the recording for a while; what is said meanwhile is skipped or
// becomes silence (Twilio, conference Recording resource: PauseBehavior). Both
// ends of a pause are no event of recordingStatusCallback.
func (r *recording) pause(now time.Time, skip bool) {
	r.status, r.paused, r.skip, r.updated = recordingPaused, now, skip, now
}

func (r *recording) resume(now time.Time) {
	if r.skip {
		r.skipped += now.Sub(r.paused)
	}
	r.status, r.updated = recordingInProgress, now
}

// finishRecording tells, a little after the end, that the recording is ready,
// or absent when it holds no sound.
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
			t.tellRecording(c, r.status, params{"RecordingDuration": strconv.Itoa(r.seconds())})
		}
		return nil
	})
}

// seconds is its length, once it is over.
func (r *recording) seconds() int { return int((r.updated.Sub(r.started) - r.skipped) / time.Second) }

// tellRecording sends a recordingStatusCallback, which counts no
// SequenceNumber and names neither event nor room.
func (t *Twilio) tellRecording(c *conference, status string, extra params) {
	if !c.recordings.wants(status) {
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
