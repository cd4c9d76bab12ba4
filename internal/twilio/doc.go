// Package twilio is what Gavel knows of Twilio's accounts: who they are, which
// keys sign for them, whether Twilio signed a request, and how Twilio is asked
// for something in their name.
//
// The signature scheme is Twilio's (Docs: "Webhooks security"): HMAC-SHA1 over
// the URL as configured and the parameters run together. The check here is
// strict and written anew, because the official Go validator takes only the
// first of several equal names and drops the port of IPv6 hosts wrongly.
// A right signature says that the bytes signed were these, not that names and
// values were cut where they are cut now: whoever accepts a request has to
// check its form as well (events.Parse).
//
// Reading order: secret.go, account.go (keys of one account), accounts.go (all
// of them), url.go (what Twilio may have signed), signature.go (the check);
// announce.go (addresses that only Gavel can make); client.go (asking Twilio),
// limiter.go (how much at once), patience.go (how soon again).
package twilio
