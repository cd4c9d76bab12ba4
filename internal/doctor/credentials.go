package doctor

import "net/http"

// Credentials are what Twilio said to one account's token or API key.
type Credentials struct {
	AccountSid string
	// With is what was shown: "auth token" or "API key".
	With string
	// Status is the HTTP status; Fault is why there is none.
	Status int
	Fault  error
	// AccountStatus is Twilio's word for the account (active, suspended,
	// closed), where it was told.
	AccountStatus string
}

// Findings judges the credentials.
func (c Credentials) Findings() []Finding {
	switch {
	case c.Fault != nil:
		return []Finding{CheckCredentials.fault("Twilio cannot be asked about account %s: %v", c.AccountSid, c.Fault).
			do("let this machine reach --twilio-api by HTTPS, directly or by HTTPS_PROXY")}
	case c.Status == http.StatusUnauthorized || c.Status == http.StatusForbidden:
		return []Finding{CheckCredentials.fault("Twilio refuses the %s of account %s (%d)", c.With, c.AccountSid, c.Status).
			do("compare it with Twilio's console: it may have been rotated or revoked; callbacks are verified by the auth token")}
	case c.Status == http.StatusNotFound:
		return []Finding{CheckCredentials.fault("Twilio does not know account %s", c.AccountSid).
			do("compare the AccountSid with Twilio's console; a subaccount has one of its own")}
	case c.Status != http.StatusOK:
		return []Finding{CheckCredentials.warn("Twilio answered %d about account %s; that says nothing of the %s", c.Status, c.AccountSid, c.With).
			do("try again later")}
	case c.AccountStatus != "" && c.AccountStatus != "active":
		return []Finding{CheckCredentials.fault("account %s is not active at Twilio", c.AccountSid).do("ask Twilio; it makes no calls meanwhile")}
	}
	return []Finding{CheckCredentials.ok("Twilio takes the %s of account %s", c.With, c.AccountSid)}
}
