package doctor

import (
	"net/http"
	"strings"
)

// Door is what the public URL answered to this process.
type Door struct {
	PublicURL string
	// Plain is the answer to a HEAD of the path for conferences: the door
	// itself answers 405 and names the methods it takes.
	Plain Knock
	// Signed are the answers to an empty batch of Event Streams, signed as
	// Twilio signs.
	Signed []Knock
}

// Knock is one request and its answer.
type Knock struct {
	// AccountSid is whose token signed.
	AccountSid string
	// Status is the answer's, Allow its header; Fault is why there is none.
	Status int
	Allow  string
	Fault  error
}

// Findings judges the answers.
//
// The self-test leaves nothing behind: a batch of nothing is verified like any
// other and has nothing to store. A callback of a conference always tells
// something, and a path of the test's own would be a way that no callback goes.
func (d Door) Findings() []Finding {
	if fault := d.unreached(); fault != nil {
		return []Finding{*fault}
	}
	var found []Finding
	for _, k := range d.Signed {
		found = append(found, d.signed(k))
	}
	return found
}

const behindProxy = "see docs/operations.md, Behind a proxy"

// unreached is why what answers is not the door.
func (d Door) unreached() *Finding {
	var f Finding
	switch k := d.Plain; {
	case k.Fault != nil:
		f = CheckPublicURL.fault("%s cannot be reached from this machine: %v", d.PublicURL, k.Fault).
			do("mend the name, the certificate or the firewall; if only this machine cannot reach it, run this elsewhere")
	case k.Status == http.StatusMethodNotAllowed && strings.Contains(k.Allow, http.MethodPost):
		return nil
	case k.Status >= 300 && k.Status < 400:
		f = CheckPublicURL.fault("%s answers with a redirect; what Twilio signed would not fit its end", d.PublicURL).
			do("set --public-url, and the URLs at Twilio, to where it leads")
	case k.Status == http.StatusServiceUnavailable || k.Status == http.StatusBadGateway || k.Status == http.StatusGatewayTimeout:
		f = CheckPublicURL.fault("%s answers %d: Gavel is not ready there, or the proxy does not find it", d.PublicURL, k.Status).
			do("ask /readyz/door of each door, and compare --listen with where the proxy sends")
	default:
		f = CheckPublicURL.fault("%s answers %d where the door should: something else is there", d.PublicURL, k.Status).
			do("let /twilio/ through to --listen, without the prefix that --public-url has; " + behindProxy)
	}
	return &f
}

func (d Door) signed(k Knock) Finding {
	switch {
	case k.Fault != nil:
		return CheckPublicURL.fault("%s did not answer a signed request: %v", d.PublicURL, k.Fault).do("see whether the proxy passes bodies on")
	case k.Status == http.StatusNoContent:
		return CheckPublicURL.ok("%s takes what account %s signs; whether Twilio reaches it as this machine does is not known", d.PublicURL, k.AccountSid)
	case k.Status == http.StatusForbidden:
		return CheckPublicURL.fault("%s refuses what account %s signs", d.PublicURL, k.AccountSid).
			do("Gavel's log names the reason and the URL it expects: the running process has another token or --public-url (SIGHUP or restart it), or the proxy changes the request; " + behindProxy)
	}
	return CheckPublicURL.fault("%s answers %d to what account %s signs", d.PublicURL, k.Status, k.AccountSid).
		do("see Gavel's log and /readyz/door")
}
