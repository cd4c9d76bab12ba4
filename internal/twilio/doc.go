// Package twilio is what Gavel knows of Twilio's accounts: who they are, which
// keys sign for them, whether Twilio signed a request, and how Twilio is asked
// for something in their name.
//
// The signature scheme is Twilio's (Docs: "Webhooks security"): HMAC-SHA1 over
// the URL as configured and the parameters. The check here is Gavel's own: it
// covers equal names and the ports of IPv6 hosts. The signed text is a
// concatenation, so callers check the form as strictly as the signature
// (events.Parse).
//
// Reading order: secret.go, account.go (keys of one account), accounts.go (all
// of them), url.go (what Twilio may have signed), signature.go (the check);
// announce.go (addresses that only Gavel can make); client.go (asking Twilio),
// limiter.go (how much at once), patience.go (how soon again); snapshot.go (the
// current state of a conference).
package twilio
