// Package twilio holds the configured Twilio accounts and their keys, verifies
// whether Twilio signed a request, and calls Twilio's REST API for an account.
//
// The signature scheme is Twilio's (Docs: "Webhooks security"): HMAC-SHA1 over the URL as
// configured and the parameters. The implementation is Gavel's own: it handles repeated names and
// the ports of IPv6 hosts. The signed text is a concatenation, so callers check the form as
// strictly as the signature (events.Parse).
//
// Reading order: secret.go, account.go (keys of one account), accounts.go (all accounts), url.go
// (the URLs that Twilio may have signed), signature.go (the verification); announce.go (addresses
// that only Gavel can make); client.go (calling Twilio), limiter.go (calls at once), patience.go
// (waits between attempts); snapshot.go (the current state of a conference).
package twilio
