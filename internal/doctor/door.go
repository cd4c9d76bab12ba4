package doctor

import (
	"net/http"
	"strings"
)

// Door is what answered at the public URL.
type Door struct {
	PublicURL string
	// Plain is the answer to a HEAD of the path for conferences: the door
	// answers 405 and names its methods.
	Plain Knock
	// Signed are the answers to an empty batch of Event Streams, signed as Twilio signs.
	Signed []Knock
}

// Knock is one request and its answer.
type Knock struct {
	// AccountSid is the account whose token signed the request.
	AccountSid string
	// Status and Allow are those of the answer; Fault is why there was none.
	Status int
	Allow  string
	Fault  error
}

// Findings judges the answers.
//
// The self-test stores nothing: an empty batch is verified like any other, and
// contains no event. A conference callback always contains one, and a separate
// path for the test would not prove that callbacks get through.
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

// unreached returns why it is not the door that answers, or nil.
func (d Door) unreached() *Finding {
	var f Finding
	switch k := d.Plain; {
	case k.Fault != nil:
		f = CheckPublicURL.fault("%s cannot be reached from this machine: %v", d.PublicURL, k.Fault).
			do("correct the name, the certificate or the firewall; if only this machine cannot reach it, run this elsewhere")
	case k.Status == http.StatusMethodNotAllowed && strings.Contains(k.Allow, http.MethodPost):
		return nil
	case k.Status >= 300 && k.Status < 400:
		f = CheckPublicURL.fault("%s answers with a redirect; Twilio's signature would not match the redirected URL", d.PublicURL).
			do("set --public-url, and the URLs at Twilio, to its target")
	case k.Status == http.StatusServiceUnavailable || k.Status == http.StatusBadGateway || k.Status == http.StatusGatewayTimeout:
		f = CheckPublicURL.fault("%s answers %d: Gavel is not ready, or the proxy cannot reach it", d.PublicURL, k.Status).
			do("fetch /readyz/door of each door, and compare --listen with the target of the proxy")
	default:
		f = CheckPublicURL.fault("%s answers %d: something other than the door is there", d.PublicURL, k.Status).
			do("forward /twilio/ to --listen, without the prefix of --public-url; " + behindProxy)
	}
	return &f
}

func (d Door) signed(k Knock) Finding {
	switch {
	case k.Fault != nil:
		return CheckPublicURL.fault("%s did not answer a signed request: %v", d.PublicURL, k.Fault).do("check that the proxy forwards bodies")
	case k.Status == http.StatusNoContent:
		return CheckPublicURL.ok("%s accepts requests signed for account %s; whether Twilio can reach it too was not tested", d.PublicURL, k.AccountSid)
	case k.Status == http.StatusForbidden:
		return CheckPublicURL.fault("%s refuses requests signed for account %s", d.PublicURL, k.AccountSid).
			do("Gavel's log has the reason and the expected URL:  the running process has another token or --public-url (SIGHUP or restart it), or the proxy changes the request; " + behindProxy)
	}
	return CheckPublicURL.fault("%s answers %d to a request signed for account %s", d.PublicURL, k.Status, k.AccountSid).
		do("check Gavel's log and /readyz/door")
}
