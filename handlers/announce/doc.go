// Package announce serves what rules announce, once.
//
// Twilio is always given an address of Gavel's for an announcement, for Twilio
// can be asked twice for the same one: an answer that got lost, a process that
// died. Whoever fetches first is told what to play, after it was noted for good
// that somebody was; everybody later is told to play nothing. So an announcement
// is heard at most once, and one whose first answer got lost not at all.
//
// The address cannot be guessed (twilio.Accounts.AnnounceURL). Twilio signs its
// request, and a wrong signature is refused; a missing one is let in, because
// the address is proof enough.
//
// Reading order: announce.go (a request's way), twiml.go (what is played),
// reach.go (whether Twilio can come here at all).
package announce
