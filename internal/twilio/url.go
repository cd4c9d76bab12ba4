package twilio

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// URLs are the spellings of one callback URL that Twilio may have signed. For HTTPS voice callbacks
// Twilio removes the port before signing, in other products it keeps it, and official validators
// also accept an added default port (Docs: "Webhooks security"; npm twilio lib/webhooks).
type URLs struct {
	spellings []string
}

// NewURLs returns the URLs of the public address ("https://host[:port][/prefix]") with the path
// appended. A user name in it, which a proxy may require, is left out, as Twilio signs without it.
// The address comes only from the settings: any sender can set Host and X-Forwarded-*.
// Errors do not contain the address, which may hold a password.
func NewURLs(public, path string) (URLs, error) {
	u, err := parsePublic(public)
	if err != nil {
		return URLs{}, fmt.Errorf("parse public URL: %w", err)
	}
	host, port := splitPort(u.Host)
	rest := strings.TrimSuffix(u.EscapedPath(), "/") + path
	var spellings []string
	if port == "" {
		port = map[string]string{"http": ":80", "https": ":443"}[u.Scheme] // validators add it
	}
	for _, h := range []string{u.Host, host, host + port} {
		spelling := u.Scheme + "://" + h + rest
		if !slices.Contains(spellings, spelling) {
			spellings = append(spellings, spelling)
		}
	}
	return URLs{spellings}, nil
}

// WithoutUser returns the address without a user name and password, and how it may be shown: with
// xxxxx for the password. Check it with NewURLs first.
func WithoutUser(public string) (plain, shown string) {
	u, err := url.Parse(public)
	if err != nil || u.User == nil {
		return public, public
	}
	shown = u.Redacted()
	u.User = nil
	return u.String(), shown
}

// String is the URL as configured, without a user name.
func (u URLs) String() string { return u.spellings[0] }

func parsePublic(public string) (*url.URL, error) {
	u, err := url.Parse(public)
	switch {
	case err != nil:
		return nil, errors.New("it is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("it must begin with http:// or https://")
	case u.Hostname() == "":
		return nil, errors.New("it has no host")
	case u.RawQuery != "" || u.ForceQuery:
		return nil, errors.New("it holds a query; list queries in callback_queries")
	case u.Fragment != "" || strings.HasSuffix(public, "#"):
		return nil, errors.New("it holds a fragment, which Twilio does not sign")
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
