package doctor

import "net/http"

// Credentials are Twilio's answer to one account's token or API key.
type Credentials struct {
	AccountSid string
	// With is the credential: "auth token" or "API key", and its region if that is not the home region.
	With string
	// Status is the HTTP status; Fault is why there was no answer.
	Status int
	Fault  error
	// AccountStatus is the status of the account at Twilio (active, suspended,
	// closed), if the answer has it.
	AccountStatus string
}

// OnlySharedKeys is the finding about an account whose shared keys are its only credential.
func OnlySharedKeys(accountSid string) Finding {
	return CheckCredentials.warn("account %s has shared keys only: its callbacks are verified, and Gavel cannot call Twilio", accountSid).
		do("set api_key, unless neither rules nor clients act on its calls")
}

// Findings judges the credentials.
func (c Credentials) Findings() []Finding {
	switch {
	case c.Fault != nil:
		return []Finding{CheckCredentials.fault("cannot check the %s of account %s at Twilio: %v", c.With, c.AccountSid, c.Fault).
			do("allow HTTPS from this machine to --twilio-api, or to the api of the region, directly or through HTTPS_PROXY")}
	case c.Status == http.StatusUnauthorized || c.Status == http.StatusForbidden:
		return []Finding{CheckCredentials.fault("Twilio refuses the %s of account %s (%d)", c.With, c.AccountSid, c.Status).
			do("compare it with Twilio's console: it may have been rotated or revoked; callbacks are verified by the auth token")}
	case c.Status == http.StatusNotFound:
		return []Finding{CheckCredentials.fault("account %s does not exist at Twilio", c.AccountSid).
			do("compare the AccountSid with Twilio's console; a subaccount has one of its own")}
	case c.Status != http.StatusOK:
		return []Finding{CheckCredentials.warn("Twilio answered %d for account %s, so its %s could not be checked", c.Status, c.AccountSid, c.With).
			do("try again later")}
	case c.AccountStatus != "" && c.AccountStatus != "active":
		return []Finding{CheckCredentials.fault("account %s is not active at Twilio", c.AccountSid).do("contact Twilio; the account cannot make calls meanwhile")}
	}
	return []Finding{CheckCredentials.ok("Twilio accepts the %s of account %s", c.With, c.AccountSid)}
}
