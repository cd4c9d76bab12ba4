package front

import (
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const version = "HTTP/1.1"

// maxFields bounds the fields of a usual request. Twilio sends about ten.
const maxFields = 32

// finding is what the bytes that have been read are.
type finding int

const (
	incomplete finding = iota
	usual
	unusual
)

// exchange is a usual request and its answer. Its parts are allocated together.
type exchange struct {
	request http.Request
	url     url.URL
	body    body
	answer  answer
	values  [maxFields]string
}

var (
	begin    = []byte(http.MethodPost + " /")
	lineEnd  = "\r\n"
	emptyEnd = []byte("\r\n\r\n")
)

// parse reads what has arrived so far.
func (c *conn) parse() (*exchange, finding) {
	if !bytes.HasPrefix(c.in, begin[:min(len(begin), len(c.in))]) {
		return nil, unusual
	}
	end := bytes.Index(c.in, emptyEnd)
	if end < 0 {
		return nil, c.unfinished()
	}
	line, fields, _ := strings.Cut(string(c.in[:end+len(lineEnd)]), lineEnd)
	x := &exchange{request: c.request}
	if !x.readLine(line, c.server.paths) || !x.readFields(fields) {
		return nil, unusual
	}
	body := c.in[end+len(emptyEnd):]
	switch want := x.request.ContentLength; {
	case int64(len(body)) > want: // another request may follow
		return nil, unusual
	case int64(len(body)) < want:
		return nil, c.unfinished()
	}
	x.body.rest = body
	x.request.Body = &x.body
	return x, usual
}

// unfinished is for a request of which more may come, unless the buffer is full.
func (c *conn) unfinished() finding {
	if len(c.in) == cap(c.in) {
		return unusual
	}
	return incomplete
}

// readLine reads the request line. Its path must be one of paths, letter for letter.
func (x *exchange) readLine(line string, paths []string) bool {
	target, ok := strings.CutPrefix(line, http.MethodPost+" ")
	if !ok {
		return false
	}
	if target, ok = strings.CutSuffix(target, " "+version); !ok {
		return false
	}
	path, query, asked := strings.Cut(target, "?")
	if !slices.Contains(paths, path) || asked && query == "" || !all(query, inQuery) {
		return false
	}
	x.url.Path, x.url.RawQuery = path, query
	x.request.URL, x.request.RequestURI = &x.url, target
	return true
}

// readFields reads the lines of the header.
func (x *exchange) readFields(fields string) bool {
	header := make(http.Header, 8) // as many as a map of one group has room for
	x.request.Header = header
	for n := 0; fields != ""; n++ {
		var line string
		line, fields, _ = strings.Cut(fields, lineEnd)
		name, value, ok := cutField(line)
		if !ok || n == maxFields {
			return false
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		if header[name] != nil || !x.readField(name, value) {
			return false
		}
		if name != "Host" {
			x.values[n] = value
			header[name] = x.values[n : n+1 : n+1]
		}
	}
	return x.request.Host != "" && x.request.ContentLength > 0
}

// cutField splits a line. Only the usual space is allowed around the value.
func cutField(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	return name, value, ok && name != "" && all(name, inName) &&
		value != "" && value[0] != ' ' && value[len(value)-1] != ' ' && all(value, inValue)
}

// readField returns false for a field that changes how net/http reads the message, serves the
// connection, or passes the other fields.
func (x *exchange) readField(name, value string) bool {
	switch name {
	case "Host":
		known := x.request.Host != ""
		x.request.Host = value
		return !known && all(value, inHost)
	case "Content-Length":
		length, err := strconv.ParseUint(value, 10, 16) // the buffer is smaller
		x.request.ContentLength = int64(length)
		return err == nil && value[0] != '0'
	case "Connection":
		return strings.EqualFold(value, "keep-alive")
	case "Transfer-Encoding", "Trailer", "Te", "Expect", "Upgrade", "Http2-Settings", "Pragma":
		return false
	}
	return true
}

// class is a set of classes that a byte is in.
type class uint8

const (
	inName  class = 1 << iota // of a field
	inValue                   // of a field, without tabs
	inQuery
	inHost
)

var classes = func() (table [256]class) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	for c := byte(' '); c < 0x7f; c++ {
		table[c] |= inValue
		if c != ' ' && c != '#' {
			table[c] |= inQuery
		}
	}
	for _, c := range []byte(letters + "!#$%&'*+-.^_`|~") {
		table[c] |= inName
	}
	for _, c := range []byte(letters + ".-_:[]") {
		table[c] |= inHost
	}
	return table
}()

func all(s string, in class) bool {
	for i := range len(s) {
		if classes[s[i]]&in == 0 {
			return false
		}
	}
	return true
}

// body is a request's body, which has arrived completely.
type body struct {
	rest   []byte
	closed bool
}

// Read returns io.EOF together with the last bytes, as net/http's body does.
func (b *body) Read(p []byte) (int, error) {
	if b.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	n := copy(p, b.rest)
	if b.rest = b.rest[n:]; len(b.rest) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// Close makes Read fail.
func (b *body) Close() error {
	b.closed = true
	return nil
}

// Whole marks a body of which no byte is missing.
func (*body) Whole() {}

// end releases the buffer, which the next request needs.
func (b *body) end() { b.rest, b.closed = nil, true }
