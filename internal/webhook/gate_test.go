package webhook_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"gavel/internal/webhook"
)

// nasty are addresses that lead inside, or nowhere. Each was used somewhere to get past a check.
var nasty = []string{
	// Loopback and this machine, in all its spellings.
	"https://127.0.0.1/", "https://127.0.0.1:8222/varz", "https://127.1.2.3/", "https://localhost/", "https://LOCALHOST:4222/",
	"https://localhost./", "https://[::1]/", "https://[0:0:0:0:0:0:0:1]/", "https://0.0.0.0/", "https://0.1.2.3/", "https://[::]/",
	"https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://017700000001/", "https://127.1/", "https://0/",
	// v4 in v6.
	"https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::ffff:10.0.0.1]/", "https://[::ffff:169.254.169.254]/",
	"https://[::127.0.0.1]/", "https://[::ffff:0:127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[64:ff9b::a9fe:a9fe]/",
	"https://[64:ff9b:1::1]/", "https://[2002:7f00:1::]/", "https://[2002:a9fe:a9fe::1]/", "https://[2001::7f00:1]/",
	// Private, carriers' NAT, unique local, link-local, site-local.
	"https://10.0.0.1/", "https://10.255.255.255/", "https://172.16.0.1/", "https://172.31.255.255/", "https://192.168.0.1/",
	"https://192.168.255.255/", "https://100.64.0.1/", "https://100.127.255.255/", "https://169.254.0.1/", "https://[fe80::1]/",
	"https://[fe80::1%25lo]/", "https://[fc00::1]/", "https://[fd00::1]/", "https://[fdff:ffff::1]/", "https://[fec0::1]/",
	// Metadata of the clouds.
	"https://169.254.169.254/latest/meta-data/", "https://169.254.170.2/v2/credentials", "https://[fd00:ec2::254]/", "https://100.100.100.200/",
	"https://192.0.0.192/", "https://2852039166/", "https://0xa9fea9fe/", "https://169.254.43518/",
	// Multicast, broadcast, documentation, benchmarks, reserved.
	"https://224.0.0.1/", "https://239.255.255.250/", "https://[ff02::1]/", "https://255.255.255.255/", "https://240.0.0.1/",
	"https://192.0.2.1/", "https://198.51.100.1/", "https://203.0.113.1/", "https://198.18.0.1/", "https://[2001:db8::1]/", "https://[100::1]/",
	// Not https.
	"http://example.com/", "http://93.184.216.34/", "HTTP://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/",
	"unix:///run/docker.sock", "javascript:alert(1)", "data:text/plain,x", "ws://example.com/",
	// Users, and what looks like one host and is another.
	"https://user@example.com/", "https://user:password@example.com/", "https://example.com@127.0.0.1/", "https://example.com%40127.0.0.1/",
	"https://127.0.0.1#@example.com/", "https://127.0.0.1?@example.com/", `https://127.0.0.1\@example.com/`, "https://example.com\n.localhost/",
	// Nothing that is an address.
	"", " ", "https://", "https:///path", "https://:443/", "//example.com/", "example.com", "https:example.com", "https://exa mple.com/",
	"https://[::1", "https://example.com:port/", "https://\x00/", "https://%00/",
}

// TestInternalAddressesAreNotCalled has no name server to ask but the machine's own.
func TestInternalAddressesAreNotCalled(t *testing.T) {
	t.Parallel()
	if len(nasty) < 60 {
		t.Fatalf("only %d", len(nasty))
	}
	// A server on this machine, for requests that pass the gate.
	listener, calls := receiver(t, answers(http.StatusOK))
	_, port, _ := strings.Cut(strings.TrimPrefix(listener, "http://"), ":")
	for _, settings := range []webhook.Settings{
		{Secrets: insider(firstSecret).Secrets},
		{Secrets: insider(firstSecret).Secrets, HTTP: true},
		{Secrets: insider(firstSecret).Secrets, Allow: []string{"10.9.9.0/24", "pager.internal"}},
	} {
		w := clientBy(t, settings, lyingResolver(t, nil))
		for _, address := range nasty {
			if settings.HTTP && strings.HasPrefix(strings.ToLower(address), "http://") {
				address = "http://127.0.0.1:" + port
			}
			if got, err := w.Call(t.Context(), request(address)); !errors.Is(err, webhook.ErrAddress) && !isNoName(err) {
				t.Errorf("%q ended %+v, %v", address, got, err)
			}
		}
	}
	if len(calls) > 0 {
		t.Errorf("%d got through", len(calls))
	}
}

// isNoName: Go does not parse such a number as an address, nor DNS as a name.
func isNoName(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns)
}

// TestANameThatLeadsInsideIsNotCalled is about DNS rebinding: the name had
// a permitted address when it was checked.
func TestANameThatLeadsInsideIsNotCalled(t *testing.T) {
	t.Parallel()
	listener, calls := receiver(t, answers(http.StatusOK))
	_, port, _ := strings.Cut(strings.TrimPrefix(listener, "http://"), ":")
	for _, leadsTo := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "::1", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"} {
		resolver := lyingResolver(t, map[string]netip.Addr{"pager.example.": netip.MustParseAddr(leadsTo)})
		w := clientBy(t, webhook.Settings{Secrets: insider(firstSecret).Secrets, HTTP: true}, resolver)
		got, err := w.Call(t.Context(), request("http://pager.example:"+port+"/"))
		if !errors.Is(err, webhook.ErrAddress) {
			t.Errorf("%s: ended %+v, %v", leadsTo, got, err)
		}
	}
	if len(calls) > 0 {
		t.Errorf("%d got through", len(calls))
	}
}

func TestAReceiverNamedInTheSettingsIsCalled(t *testing.T) {
	t.Parallel()
	listener, calls := receiver(t, answers(http.StatusOK))
	_, port, _ := strings.Cut(strings.TrimPrefix(listener, "http://"), ":")
	resolver := lyingResolver(t, map[string]netip.Addr{"pager.internal.": netip.MustParseAddr("127.0.0.1")})
	for _, c := range []struct {
		settings webhook.Settings
		host     string
		done     bool
	}{
		{webhook.Settings{Allow: []string{"pager.internal"}}, "pager.internal", true},
		{webhook.Settings{Allow: []string{"Pager.Internal."}}, "PAGER.internal.", true},
		{webhook.Settings{Allow: []string{"127.0.0.0/8"}}, "127.0.0.1", true},
		{webhook.Settings{Allow: []string{"127.0.0.1"}}, "[::ffff:127.0.0.1]", true},
		{webhook.Settings{Allow: []string{"127.0.0.0/8"}, HTTP: true}, "pager.internal", true},
		{webhook.Settings{Allow: []string{"127.0.0.0/8"}}, "pager.internal", false}, // not https
		{webhook.Settings{Allow: []string{"internal"}}, "pager.internal", false},
		{webhook.Settings{Allow: []string{"127.0.0.1"}}, "kate:secret@127.0.0.1", false},
		{webhook.Settings{Allow: []string{"pager.internal"}}, "kate@pager.internal", false},
		{webhook.Settings{Allow: []string{"127.0.0.2", "128.0.0.0/8"}}, "127.0.0.1", false},
		{webhook.Settings{HTTP: true}, "pager.internal", false},
	} {
		c.settings.Secrets = insider(firstSecret).Secrets
		got, err := clientBy(t, c.settings, resolver).Call(t.Context(), request("http://"+c.host+":"+port+"/"))
		if (err == nil) != c.done || !c.done && !errors.Is(err, webhook.ErrAddress) {
			t.Errorf("%s with %v: ended %+v, %v", c.host, c.settings.Allow, got, err)
		}
		if err == nil {
			<-calls
		}
	}
	if len(calls) > 0 {
		t.Errorf("%d got through", len(calls))
	}
}

// FuzzWebhookAddress looks for an address that is let through and leads inside.
func FuzzWebhookAddress(f *testing.F) {
	for _, address := range nasty {
		f.Add(address)
	}
	f.Add("https://pager.example:8443/a?b#c")
	f.Fuzz(func(t *testing.T, address string) {
		u, err := webhook.Settings{}.CheckAddress(address)
		if err != nil {
			if address != "" && strings.Contains(err.Error(), address) && len(address) > 5 {
				t.Errorf("%q is quoted: %v", address, err)
			}
			return
		}
		ip, err := netip.ParseAddr(u.Hostname())
		inside := err == nil && (ip.Unmap().IsPrivate() || ip.Unmap().IsLoopback() || !ip.Unmap().IsGlobalUnicast())
		if u.Scheme != "https" || u.User != nil || u.Hostname() == "" || inside {
			t.Errorf("%q passes and leads to %s", address, u.Hostname())
		}
		if _, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u.String(), nil); err != nil {
			t.Errorf("%q passes and does not make a request: %v", address, err)
		}
	})
}

// lyingResolver queries a name server of the test's own, which has these names and no others.
func lyingResolver(t *testing.T, names map[string]netip.Addr) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		room := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(room)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(answerDNS(room[:n], names), from)
		}
	}()
	t.Cleanup(func() { _ = server.Close(); <-ended })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// answerDNS answers one question for an address (RFC 1035, 4): that of the name if it has one of
// that kind, no address if it has another, else that there is no such name.
func answerDNS(query []byte, names map[string]netip.Addr) []byte {
	const header, typeA, typeAAAA, noSuchName = 12, 1, 28, 3
	name, at := "", header
	for query[at] != 0 {
		label := query[at+1 : at+1+int(query[at])]
		name, at = name+strings.ToLower(string(label))+".", at+1+len(label)
	}
	kind := binary.BigEndian.Uint16(query[at+1:])
	question := query[header : at+5]
	address, known := names[name]
	response := []byte{query[0], query[1], 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	if !known {
		response[3] = noSuchName
	}
	response = append(response, question...)
	if known && (address.Is4() && kind == typeA || address.Is6() && kind == typeAAAA) {
		response[7] = 1
		response = append(response, 0xc0, header, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(len(address.AsSlice())))
		response = append(response, address.AsSlice()...)
	}
	return response
}
