package announce

import (
	"net/netip"
	"net/url"
	"strings"

	"gavel/rules"
	"gavel/rules/schema"
)

// CheckReachable returns a fault for each announcing rule if Twilio could not fetch its
// announcement: the public URL is this machine's loopback address, and Twilio is elsewhere. The
// error is schema.Faults. Rules in mode off are not checked.
func CheckReachable(set *rules.Set, publicURL, twilioAPI string) error {
	if !isLoopback(publicURL) || isLoopback(twilioAPI) {
		return nil
	}
	var faults schema.Faults
	for _, rule := range set.Rules {
		for _, step := range rule.Do {
			if rule.Mode != rules.Off && step.Kind == rules.StepAnnounce {
				faults = append(faults, schema.Fault{
					File: rule.File, Line: step.Line, Column: 1, Rule: rule.Name,
					Message: "announces, but Twilio cannot reach this machine: set --public-url to an address that Twilio can reach",
				})
			}
		}
	}
	if faults == nil {
		return nil
	}
	return faults.Sorted()
}

// isLoopback reports whether an address leads back to the machine that uses it.
func isLoopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host == "localhost" || strings.HasSuffix(host, ".localhost")
	}
	return ip.Unmap().IsLoopback() || ip.IsUnspecified()
}
