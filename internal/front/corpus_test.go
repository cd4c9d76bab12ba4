package front_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// request builds a request. A change replaces a part of the usual one.
func request(body string, change ...string) string {
	return strings.NewReplacer(change...).Replace(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: gavel.example\r\nUser-Agent: TwilioProxy/1.1\r\n"+
		"Accept: */*\r\nContent-Type: application/x-www-form-urlencoded; charset=UTF-8\r\nX-Twilio-Signature: RSOYDt4T1cUTdK1PDd93/VVr8B8=\r\n"+
		"Content-Length: %d\r\n\r\n%s", path, len(body), body))
}

const form = "AccountSid=AC25&CallSid=CA25&x=%0D%0A"

// with returns the usual request with another line behind Accept.
func with(line string) string { return request(form, "Accept: */*\r\n", "Accept: */*\r\n"+line+"\r\n") }

// The usual requests, which this package reads itself. Whatever another sender adds is in ambiguous.
var usualRequests = map[string]string{
	"as Twilio sends it":         request(form),
	"a query":                    request(form, path, path+"?queue=sales&x=%41&a=b?c=/\"<>'|"),
	"the other path":             request(form, path, "/twilio/recording"),
	"keep-alive":                 with("Connection: keep-alive"),
	"Keep-Alive":                 with("Connection: Keep-Alive"),
	"no space behind the colon":  with("X-Forwarded-For:198.51.100.9"),
	"a name in lower case":       with("x-forwarded-for: 198.51.100.9"),
	"lengths in lower case":      request(form, "Content-Length", "content-length", "Host", "host"),
	"a name of all token bytes":  with("X!#$%&'*+-.^_`|~09: 1"),
	"a value of all bytes":       with("X-Value: !\"#$%&'()*+,-./0:;<=>?@A[\\]^_`a{|}~"),
	"a port in the host":         request(form, "gavel.example", "[2001:db8::1]:8080"),
	"a content encoding":         with("Content-Encoding: gzip"),
	"a keep-alive field":         with("Keep-Alive: timeout=5"),
	"refused":                    request("403&"),
	"not allowed":                request("405&"),
	"a text with an error":       request("503&"),
	"a text":                     request("text&"),
	"nothing is written":         request("nothing&"),
	"the handler closes":         request("close&"),
	"the handler panics":         request("panic&"),
	"the handler aborts":         request("abort&"),
	"a status is written twice":  request("twice&"),
	"the body is not read":       request(form, path, path+"?unread"),
	"a body with line ends":      request("a\r\n\r\nPOST / HTTP/1.1\r\n\r\n"),
	"a body that is a request":   request(request(form)),
	"a length of one digit":      request("a"),
	"a body of unusual bytes":    request("\x00\xff\n\r"),
	"another field of encodings": with("Accept-Encoding: gzip, chunked"),
	"an underscore in a name":    with("Content_Length: 5"),
}

// Requests that could be read in two ways, or that net/http treats in its own way: net/http reads
// them. The lists follow RFC 9112 and the published ways to smuggle requests past a proxy.
func ambiguous() map[string]string {
	all := map[string]string{
		"nothing":                    "",
		"a line end":                 "\r\n",
		"a part of the method":       "PO",
		"only a request line":        "POST " + path + " HTTP/1.1\r\n",
		"no body yet":                request(form, form, ""),
		"half a body":                request(form, "x=%0D%0A", ""),
		"more than the length":       request(form) + "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
		"two requests at once":       request(form) + request("403&"),
		"three requests at once":     request(form) + request("403&") + request("text&"),
		"a line end behind the body": request(form) + "\r\n",
		"line ends before it":        "\r\n\r\n" + request(form),
		"a space before it":          " " + request(form),
		"another path":               request(form, path, "/v1/conferences"),
		"an escaped path":            request(form, path, "/twilio/conferenc%65"),
		"a path with a slash":        request(form, path, path+"/"),
		"a path with dots":           request(form, path, "/x/.."+path),
		"an absolute target":         request(form, path, "http://other.example"+path),
		"an authority target":        request(form, path, "gavel.example:80"),
		"an asterisk":                request(form, path, "*"),
		"an empty query":             request(form, path, path+"?"),
		"a fragment":                 request(form, path, path+"?a#b"),
		"a space in the query":       request(form, path, path+"?a b"),
		"a byte above ASCII":         request(form, path, path+"?\xc3\xa4"),
		"a control byte in the path": request(form, path, path+"?\x01"),
		"two spaces":                 request(form, "POST ", "POST  "),
		"a tab in the request line":  request(form, "POST ", "POST\t"),
		"a space behind the version": request(form, "HTTP/1.1", "HTTP/1.1 "),
		"HTTP/1.0":                   request(form, "HTTP/1.1", "HTTP/1.0"),
		"HTTP/1.0 kept":              strings.Replace(with("Connection: keep-alive"), "HTTP/1.1", "HTTP/1.0", 1),
		"HTTP/1.2":                   request(form, "HTTP/1.1", "HTTP/1.2"),
		"HTTP/2.0":                   request(form, "HTTP/1.1", "HTTP/2.0"),
		"http/1.1":                   request(form, "HTTP/1.1", "http/1.1"),
		"HTTP/1.01":                  request(form, "HTTP/1.1", "HTTP/1.01"),
		"HTTP/0.9":                   request(form, " HTTP/1.1", ""),
		"the preface of HTTP/2":      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"TLS":                        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"post":                       request(form, "POST ", "post "),
		"POSTX":                      request(form, "POST ", "POSTX "),
		"no host":                    request(form, "Host: gavel.example\r\n", ""),
		"two hosts":                  with("Host: gavel.example"),
		"two different hosts":        with("Host: other.example"),
		"an empty host":              request(form, "gavel.example", ""),
		"a host with a space":        request(form, "gavel.example", "gavel example"),
		"a host with a slash":        request(form, "gavel.example", "gavel.example/x"),
		"a host with a user":         request(form, "gavel.example", "a@gavel.example"),
		"a host with a comma":        request(form, "gavel.example", "a,b"),
		"no length":                  request(form, "Content-Length: 37\r\n", ""),
		"a length of none":           request(""),
		"a field twice":              with("Accept: text/html"),
		"a signature twice":          with("x-twilio-signature: AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
		"a name twice, other case":   with("ACCEPT: text/html"),
		"a folded value":             with("X-A: 1\r\n 2"),
		"a folded value with a tab":  with("X-A: 1\r\n\t2"),
		"a folded length":            request(form, "Length: ", "Length:\r\n "),
		"a fold before the fields":   request(form, "Host:", " Host:"),
		"no colon":                   with("X-A"),
		"no name":                    with(": 1"),
		"a space in a name":          with("X A: 1"),
		"a space before the colon":   with("X-A : 1"),
		"a tab before the colon":     with("X-A\t: 1"),
		"a bracket in a name":        with("X(A): 1"),
		"a byte above ASCII in name": with("X-\xc3\xa4: 1"),
		"a null in a name":           with("X\x00A: 1"),
		"a null in a value":          with("X-A: 1\x002"),
		"a control byte in a value":  with("X-A: 1\x7f2"),
		"a byte above ASCII, value":  with("X-A: \xc3\xa4"),
		"a tab in a value":           with("X-A: 1\t2"),
		"no value":                   with("X-A:"),
		"only spaces":                with("X-A:   "),
		"two spaces before a value":  with("X-A:  1"),
		"a space behind a value":     with("X-A: 1 "),
		"a bare line feed":           with("X-A: 1\nX-B: 2"),
		"a bare carriage return":     with("X-A: 1\rX-B: 2"),
		"line feeds everywhere":      request(form, "\r\n", "\n"),
		"a carriage return more":     with("X-A: 1\r"),
		"the end is LF CR LF":        request(form, "\r\n\r\n", "\n\r\n"),
		"the end is CR LF LF":        request(form, "\r\n\r\n", "\r\n\n"),
		"expect":                     with("Expect: 100-continue"),
		"another expectation":        with("Expect: x"),
		"upgrade":                    with("Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
		"a websocket":                with("Connection: Upgrade\r\nUpgrade: websocket"),
		"close":                      with("Connection: close"),
		"Close":                      with("Connection: Close"),
		"keep-alive, close":          with("Connection: keep-alive, close"),
		"names of fields to drop":    with("Connection: keep-alive, Content-Length"),
		"pragma":                     with("Pragma: no-cache"),
		"a trailer":                  with("Trailer: X-A"),
		"te":                         with("TE: trailers"),
		"many fields":                with("X-A: 1" + manyFields(40)),
		"a large header":             with("X-A: " + strings.Repeat("a", 5_000)),
		"too large a header":         with("X-A: " + strings.Repeat("a", 40_000)),
		"a large body":               request(strings.Repeat("a", 5_000)),
		"a GET":                      "GET " + path + "?a=b HTTP/1.1\r\nHost: x\r\n\r\n",
		"a GET with a body":          request(form, "POST ", "GET "),
		"a HEAD":                     "HEAD " + path + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"an OPTIONS":                 "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"a CONNECT":                  "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
	}
	for _, length := range []string{
		"+37", "-37", "0x25", "037", "0037", "37.0", "3 7", "37, 37", "37,37", "37;", "37\t", "\t37", " 37", "37 ", "", "0", "00",
		"4294967333", "18446744073709551653", "9223372036854775808", "65573", "99999999999999999999999", "३७", "3_7", "37\x00", "\"37\"",
	} {
		all["length "+length] = request(form, "Length: 37", "Length: "+length)
	}
	for _, line := range []string{"Content-Length: 37", "Content-Length: 0", "Content-Length: 38", "content-length: 37", "Content-Length : 37"} {
		all["also "+line] = with(line)
	}
	for _, line := range []string{
		"Transfer-Encoding: chunked", "Transfer-Encoding: identity", "transfer-encoding: chunked", "Transfer-Encoding : chunked",
		"Transfer-Encoding: xchunked", "Transfer-Encoding:\tchunked", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: gzip, chunked",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", " Transfer-Encoding: chunked", "X: 1\nTransfer-Encoding: chunked",
		"X: 1\r\n Transfer-Encoding: chunked", "Transfer-Encoding:\r\n chunked", "Transfer-Encoding: \x0bchunked", "Transfer-Encoding: \"chunked\"",
		"Transfer-Encoding: CHUNKED", "Transfer-Encoding: chunked;a=b", "Transfer-Encoding:", "Transfer\x00-Encoding: chunked", "\x00Transfer-Encoding: chunked",
	} {
		all["length and "+line] = with(line)
		all["only "+line] = strings.Replace(with(line), "Content-Length: 37\r\n", "", 1)
		all["chunks with "+line] = strings.Replace(strings.Replace(with(line), "Content-Length: 37\r\n", "", 1), form, "5\r\na=b&c\r\n0\r\n\r\n", 1)
		all["smuggled with "+line] = strings.Replace(with(line), form, "0\r\n\r\nGET /smuggled HTTP/1.1\r\nX: 12", 1)
	}
	return all
}

func manyFields(n int) (lines string) {
	for i := range n {
		lines += fmt.Sprintf("\r\nX-%d: 1", i)
	}
	return lines
}

func TestUsualRequestsAreReadAsNetHTTPReadsThem(t *testing.T) {
	t.Parallel()
	for name, raw := range usualRequests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if whole := agree(t, raw); whole != 1 {
					t.Errorf("%d requests were read without net/http", whole)
				}
				agree(t, raw, request("probe"), request("403&"))
				for at := 1; at < len(raw); at += 7 {
					agree(t, raw[:at], raw[at:], request("probe"))
				}
			})
		})
	}
}

func TestAmbiguousRequestsAreReadByNetHTTP(t *testing.T) {
	t.Parallel()
	for name, raw := range ambiguous() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if whole := agree(t, raw); whole != 0 {
					t.Errorf("%d requests were read without net/http", whole)
				}
				agree(t, raw, request("probe"))
				agree(t, request(form), raw, request("probe"))
				half := len(raw) / 2
				agree(t, request(form), raw[:half], raw[half:], request("probe"))
			})
		})
	}
}

// FuzzReaders compares the two servers on any bytes, which arrive in any pieces.
func FuzzReaders(f *testing.F) {
	for _, raw := range usualRequests {
		f.Add(raw, request("probe"), uint16(0), uint16(100))
	}
	for _, raw := range ambiguous() {
		f.Add(raw, request("probe"), uint16(len(raw)), uint16(len(raw)/2))
		f.Add(request(form), raw, uint16(3), uint16(60))
	}
	f.Fuzz(func(t *testing.T, first, second string, a, b uint16) {
		all := first + second
		x, y := int(a)%(len(all)+1), int(b)%(len(all)+1)
		x, y = min(x, y), max(x, y)
		synctest.Test(t, func(t *testing.T) {
			agree(t, first, second)
			agree(t, all[:x], all[x:y], all[y:])
		})
	})
}
