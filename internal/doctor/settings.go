package doctor

import (
	"net/netip"
	"net/url"
	"strings"
)

// Settings are what a process would start with.
type Settings struct {
	// Faults are why it would not start; the rest is empty then.
	Faults []string
	// Door is whether this process receives Twilio's callbacks.
	Door bool
	// PublicURL is the URL that Twilio calls.
	PublicURL string
	// EmbeddedNATS is whether NATS is part of the process. Sync is when it
	// syncs: always or interval.
	EmbeddedNATS bool
	Sync         string
	Accounts     []Account
}

// Account is one account of the settings.
type Account struct {
	Sid string
	// Next and Previous are whether the key ring has those tokens too.
	Next, Previous bool
}

// Findings judges the settings.
func (s Settings) Findings() (found []Finding) {
	for _, f := range s.Faults {
		found = append(found, CheckSettings.fault("%s", f).do("correct it; `gavel serve` does not start before"))
	}
	if len(found) > 0 {
		return found
	}
	found = s.publicURL()
	if s.EmbeddedNATS && s.Sync == "interval" {
		found = append(found, CheckSettings.warn("with sync interval a power cut loses up to two minutes of callbacks that were answered 2xx").
			do("set --sync to always, unless that loss is acceptable"))
	}
	for _, a := range s.Accounts {
		if a.Next || a.Previous {
			found = append(found, CheckSettings.note("account %s has more than its current token: a rotation is under way", a.Sid).
				do("complete it as described in docs/operations.md under Keys: a token that is no longer needed only helps a thief"))
		}
	}
	if len(found) == 0 {
		return []Finding{CheckSettings.ok("complete; %s configured", count(len(s.Accounts), "account"))}
	}
	return found
}

// publicURL judges the address itself; door.go judges what answers there.
func (s Settings) publicURL() []Finding {
	u, err := url.Parse(s.PublicURL)
	if !s.Door || err != nil {
		return nil
	}
	switch {
	case private(u.Hostname()):
		return []Finding{CheckSettings.warn("the public URL %s is on this machine or a private network: Twilio cannot call it", s.PublicURL).
			do("set --public-url to the address that Twilio calls: your own host with HTTPS, or a tunnel")}
	case u.Scheme == "http":
		return []Finding{CheckSettings.warn("the public URL %s is not HTTPS: callbacks cross the internet unencrypted, with names and phone numbers", s.PublicURL).
			do("put a proxy with a certificate in front and set --public-url to its https:// address")}
	}
	return nil
}

// private reports whether an address is certainly not reachable from the
// internet. Names are not resolved: DNS may answer differently outside.
func private(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsUnspecified() || ip.IsLinkLocalUnicast()
	}
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".local")
}
