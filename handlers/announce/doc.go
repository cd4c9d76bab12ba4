// Package announce serves the announcements of rules, each once.
//
// Gavel always gives Twilio one of its own URLs for an announcement, because Twilio may be called
// twice for the same announcement: after a lost answer, or after a crash. The first request gets
// the TwiML, after the journal's bucket has durably recorded that it was served; every later
// request gets empty TwiML. So an announcement is played at most once, and not at all if the first
// answer is lost.
//
// The URL cannot be guessed (twilio.Accounts.AnnounceURL). Twilio signs its request, and a wrong
// signature is refused; a request without one is accepted, because the URL is proof enough.
//
// Reading order: announce.go (the steps of a request), twiml.go (what is
// played), reach.go (whether Twilio can reach Gavel at all).
package announce
