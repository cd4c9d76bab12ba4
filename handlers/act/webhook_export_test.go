package act

import "net/url"

// CheckAddress is what a webhook's address has to pass before anybody is called.
func CheckAddress(s WebhookSettings, address string) (*url.URL, error) {
	return newGate(s).check(address)
}
