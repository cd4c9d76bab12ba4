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
	// Door is whether Twilio's callbacks are taken here.
	Door bool
	// PublicURL is where.
	PublicURL string
	// EmbeddedNATS is whether NATS is part of the process, and Sync what its
	// acknowledgement is worth: always or interval.
	EmbeddedNATS bool
	Sync         string
	Accounts     []Account
}

// Account is one account of the settings.
type Account struct {
	Sid string
	// Next and Previous are whether the key ring holds those tokens too.
	Next, Previous bool
}

// Findings judges the settings.
func (s Settings) Findings() []Finding {
	if len(s.Faults) > 0 {
		return s.faults()
	}
	found := s.publicURL()
	if s.EmbeddedNATS && s.Sync == "interval" {
		found = append(found, CheckSettings.warn("with sync interval a power cut loses up to two minutes of callbacks that were answered 2xx").
			do("leave --sync at always, unless that may be lost"))
	}
	for _, a := range s.Accounts {
		if a.Next || a.Previous {
			found = append(found, CheckSettings.note("account %s has more than its current token: a rotation is under way", a.Sid).
				do("end it as docs/operations.md says under Keys: a token that is not needed any more only helps a thief"))
		}
	}
	if len(found) == 0 {
		return []Finding{CheckSettings.ok("are complete; %s configured", count(len(s.Accounts), "account"))}
	}
	return found
}

func (s Settings) faults() (found []Finding) {
	for _, f := range s.Faults {
		found = append(found, CheckSettings.fault("%s", f).do("mend it; `gavel serve` does not start before"))
	}
	return found
}

// publicURL judges the address by its looks; door.go knocks at it.
func (s Settings) publicURL() []Finding {
	u, err := url.Parse(s.PublicURL)
	if !s.Door || err != nil {
		return nil
	}
	switch {
	case private(u.Hostname()):
		return []Finding{CheckSettings.warn("the public URL %s is of this machine or a private network: Twilio cannot call it", s.PublicURL).
			do("set --public-url to the address that Twilio calls: a host of yours with HTTPS, or a tunnel")}
	case u.Scheme == "http":
		return []Finding{CheckSettings.warn("the public URL %s is not HTTPS: callbacks cross the internet readable, with names and numbers", s.PublicURL).
			do("put a proxy with a certificate in front and set --public-url to its https:// address")}
	}
	return nil
}

// private reports whether an address is certainly not reached from the
// internet. What a name stands for is not asked: it may differ outside.
func private(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsUnspecified() || ip.IsLinkLocalUnicast()
	}
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".local")
}
