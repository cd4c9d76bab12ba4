package twilio

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// URLs are the spellings of one callback URL that Twilio may have signed. For
// HTTPS voice callbacks Twilio drops the port before signing, in other products
// it keeps it, and official validators accept a default port that was added
// (Docs: "Webhooks security"; npm twilio lib/webhooks).
type URLs struct {
	spellings []string
}

// NewURLs takes the public address ("https://host[:port][/prefix]") and the
// path behind it. The address comes from the settings alone: Host and
// X-Forwarded-* are written by whoever sends the request. Errors do not show
// the address, which may hold a password.
func NewURLs(public, path string) (URLs, error) {
	u, err := parsePublic(public)
	if err != nil {
		return URLs{}, fmt.Errorf("parse public URL: %w", err)
	}
	host, port := splitPort(u.Host)
	rest := strings.TrimSuffix(u.EscapedPath(), "/") + path
	var spellings []string
	for _, h := range []string{u.Host, host, host + defaultPort(u.Scheme, port)} {
		spelling := u.Scheme + "://" + h + rest
		if !slices.Contains(spellings, spelling) {
			spellings = append(spellings, spelling)
		}
	}
	return URLs{spellings}, nil
}

// String is the URL as configured.
func (u URLs) String() string { return u.spellings[0] }

func parsePublic(public string) (*url.URL, error) {
	u, err := url.Parse(public)
	switch {
	case err != nil:
		return nil, errors.New("it is no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("it begins with neither http:// nor https://")
	case u.Hostname() == "":
		return nil, errors.New("it has no host")
	case u.User != nil:
		return nil, errors.New("it holds a user name; Twilio does not sign one")
	case u.RawQuery != "" || u.ForceQuery:
		return nil, errors.New("it holds a query; list queries as callback_queries")
	case u.Fragment != "" || strings.HasSuffix(public, "#"):
		return nil, errors.New("it holds a fragment; Twilio does not sign one")
	}
	return u, nil
}

// splitPort keeps the brackets of an IPv6 address on the host.
func splitPort(hostport string) (host, port string) {
	at := strings.LastIndexByte(hostport, ':')
	if at < 0 || strings.HasSuffix(hostport, "]") {
		return hostport, ""
	}
	return hostport[:at], hostport[at:]
}

// defaultPort is what validators add where the URL has no port.
func defaultPort(scheme, port string) string {
	switch {
	case port != "":
		return port
	case scheme == "https":
		return ":443"
	}
	return ":80"
}
