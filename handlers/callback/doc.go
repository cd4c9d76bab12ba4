// Package callback is the door: the HTTP endpoints that Twilio calls.
//
// A request is answered 204 only after the journal has its event for good.
// What Twilio did not sign is 403, and so is what it signed but what is out of
// form; the latter is kept as a dead letter, should Twilio have changed a form.
// When the journal cannot take an event it is 503, and whether Twilio tries
// again its own settings say (#rc=5&rp=all).
//
// The URL that Twilio signs comes from the settings. Host and X-Forwarded-*
// are never looked at.
//
// Reading order: door.go (what there is and how it answers), form.go
// (statusCallback and recordingStatusCallback), eventstream.go (Event Streams),
// speech.go (what may be left out), refusal.go (every "no" and its reason).
package callback
