// Package callback is the webhook receiver (door): the HTTP endpoints that Twilio calls.
//
// The door answers 204 only after the journal has stored the event durably, except speech events
// that the settings drop and Event Streams items that are no callbacks. A request that Twilio did
// not sign is answered 403. So is a signed request with an invalid form, which is stored as a dead
// letter, because Twilio may have changed a form. A bad item of an Event Streams batch is stored as
// a dead letter too, and the batch is answered 204. If the journal cannot store an event, the
// answer is 503; whether Twilio then retries depends on its own settings (#rc=5&rp=all).
//
// The URL that Twilio signs comes from the settings. Host and X-Forwarded-* are never read.
//
// Reading order: door.go (the endpoints and their answers), form.go (statusCallback and
// recordingStatusCallback), eventstream.go (Event Streams), speech.go (speech events that the
// settings leave out), refusal.go (every refusal and its reason).
package callback
