package webhook

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"code.dny.dev/ssrf"
)

// Why an address must not be called. No text quotes it.
var (
	errNoURL    = errors.New("is no URL with http or https and a host")
	errUserInfo = errors.New("holds a user name or a password")
	errPlain    = errors.New("is not https; `webhooks.http` or `webhooks.allow` lets others through")
	errInside   = errors.New("is inside the own network; `webhooks.allow` lets it through")
)

// gate decides which addresses may be called. The operator writes the host, but not the address
// that its name resolves to: so the gate checks the address that is dialled, when it is dialled.
type gate struct {
	hosts    map[string]bool
	prefixes []netip.Prefix
	http     bool
	// addresses lets through what is in prefixes, and of all others only what is in none of IANA's
	// registries of special addresses (private, loopback, link-local and with it the clouds'
	// metadata, carriers' NAT, unique local, multicast, v4 in v6 and so on).
	addresses *ssrf.Guardian
}

func newGate(s Settings) *gate {
	g := &gate{hosts: map[string]bool{}, http: s.HTTP}
	var v4, v6 []netip.Prefix
	for _, entry := range s.Allow {
		prefix, isAddress := parsePrefix(entry)
		switch {
		case !isAddress:
			g.hosts[hostName(entry)] = true
			continue
		case prefix.Addr().Is4():
			v4 = append(v4, prefix)
		default:
			v6 = append(v6, prefix)
		}
		g.prefixes = append(g.prefixes, prefix)
	}
	g.addresses = ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
	return g
}

// parsePrefix reads a range of addresses, or one address.
func parsePrefix(text string) (netip.Prefix, bool) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix.Masked(), true
	}
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen()), true
}

// hostName is the one spelling of a name: DNS knows no letter case, and a dot
// at the end changes nothing.
func hostName(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// check parses an address and returns why it must not be called.
func (g *gate) check(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, errNoURL
	}
	ip, err := netip.ParseAddr(u.Hostname())
	ip = ip.Unmap() // the zero address, which no range contains, for a name
	inRange := slices.ContainsFunc(g.prefixes, func(p netip.Prefix) bool { return p.Contains(ip) })
	switch isIP := err == nil; {
	case u.User != nil:
		return nil, errUserInfo
	case u.Scheme == "http" && !g.http && !g.trusts(u) && !inRange:
		return nil, errPlain
	case isIP && g.addresses.SafeAddr(ip) != nil:
		return nil, errInside
	}
	return u, nil
}

// trusts reports whether the settings name the host: it may be anywhere.
func (g *gate) trusts(u *url.URL) bool { return g.hosts[hostName(u.Hostname())] }

// isProhibited reports whether a connection was refused by the gate.
func isProhibited(err error) bool {
	return errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedNetwork)
}
