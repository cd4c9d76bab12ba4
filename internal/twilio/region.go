package twilio

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"gavel/events"
)

// Region is a region of Twilio where an account has calls besides its home region. An account has
// auth tokens and API keys of its own in each region (Docs: "Global infrastructure").
type Region struct {
	// Name is Twilio's: ie1, au1. The journal keeps it with each entry.
	Name string
	// API is the address of its REST API: https://api.dublin.ie1.twilio.com.
	API    string
	Tokens []Token
	APIKey APIKey
}

// regionName is the form of Twilio's names of regions.
var regionName = regexp.MustCompile(`^[a-z]{2,8}[0-9]{1,2}$`)

func (a *Account) checkRegions() error {
	var faults []error
	seen := map[string]bool{}
	for i, r := range a.Regions {
		at := fmt.Sprintf("region %d: ", i+1)
		if !regionName.MatchString(r.Name) {
			faults = append(faults, errors.New(at+"its name is not one of Twilio's, such as ie1"))
		}
		if seen[r.Name] {
			faults = append(faults, errors.New(at+"duplicate region"))
		}
		seen[r.Name] = true
		if u, err := url.Parse(r.API); err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
			faults = append(faults, errors.New(at+"api is not https://HOST; Dublin's is https://api.dublin.ie1.twilio.com"))
		}
		if len(r.Tokens) == 0 {
			faults = append(faults, errors.New(at+"it has no auth token; an entry can be assigned to a region only by its token"))
		}
		if err := r.APIKey.check(); err != nil {
			faults = append(faults, fmt.Errorf("%s%w", at, err))
		}
	}
	return errors.Join(faults...)
}

// access is how an account calls Twilio in one region.
type access struct{ base, user, password string }

// access returns the access for a region. An empty name is the home region, and so is one that is
// no longer configured. ok is false if the account has no credentials there: a shared key signs
// callbacks and cannot call.
func (a *Account) access(home, region string) (to access, ok bool) {
	token, key := a.current(), a.APIKey
	for _, r := range a.Regions {
		if r.Name == region {
			home, token, key = strings.TrimRight(r.API, "/"), r.Tokens[0].Secret, r.APIKey
		}
	}
	// The API key comes first, because it can be revoked separately.
	if key != (APIKey{}) {
		return access{home, events.CanonicalSid(key.Sid), key.Secret.Reveal()}, true
	}
	return access{home, a.Sid, token.Reveal()}, token != ""
}

// WebhooksBase returns the address of the Webhooks API beside that of the REST API:
// https://webhooks.twilio.com for https://api.twilio.com, else the same host, as a stand-in has it.
func WebhooksBase(api string) string {
	if rest, ok := strings.CutPrefix(api, "https://api."); ok && strings.HasSuffix(strings.TrimRight(rest, "/"), "twilio.com") {
		return "https://webhooks." + rest
	}
	return api
}
