package front

import (
	"bytes"
	"net/http"
	"strconv"
	"time"
)

// answer is the http.ResponseWriter of a usual request. It keeps the whole answer, because the
// handlers of callbacks write little or nothing.
type answer struct {
	header http.Header
	sent   http.Header // as it was at WriteHeader
	status int
	body   []byte
}

// Header returns the fields, which can be changed until WriteHeader.
func (a *answer) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
	}
	return a.header
}

// WriteHeader sets the status. Only the first one counts, and no provisional one.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status, a.sent = status, a.header.Clone()
	}
}

// Write adds to the body.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if !a.bodied() {
		return 0, http.ErrBodyNotAllowed
	}
	a.body = append(a.body, p...)
	return len(p), nil
}

func (a *answer) bodied() bool {
	return a.status != http.StatusNoContent && a.status != http.StatusNotModified
}

// ours are the fields that text writes by itself.
var ours = map[string]bool{"Connection": true, "Content-Length": true, "Transfer-Encoding": true, "Trailer": true}

// text appends the answer as it is sent, and returns whether the connection is kept.
func (a *answer) text(out []byte, closing bool) (_ []byte, keep bool) {
	a.WriteHeader(http.StatusOK)
	out = append(out, version+" "...)
	out = strconv.AppendInt(out, int64(a.status), 10)
	out = append(append(out, ' '), http.StatusText(a.status)...)
	out = append(out, lineEnd...)
	closing = closing || a.sent.Get("Connection") == "close"
	if len(a.sent) > 0 {
		var fields bytes.Buffer
		_ = a.sent.WriteSubset(&fields, ours) // a buffer accepts everything
		out = append(out, fields.Bytes()...)
	}
	if a.sent["Date"] == nil {
		out = time.Now().UTC().AppendFormat(append(out, "Date: "...), http.TimeFormat)
		out = append(out, lineEnd...)
	}
	if a.bodied() {
		out = a.describeBody(out)
	}
	if closing {
		out = append(out, "Connection: close"+"\r\n"...)
	}
	return append(append(out, lineEnd...), a.body...), !closing
}

// describeBody appends what net/http adds to an answer with a body, also an empty one.
func (a *answer) describeBody(out []byte) []byte {
	out = strconv.AppendInt(append(out, "Content-Length: "...), int64(len(a.body)), 10)
	out = append(out, lineEnd...)
	_, typed := a.sent["Content-Type"]
	if typed || len(a.body) == 0 || a.sent.Get("Content-Encoding") != "" {
		return out
	}
	out = append(append(out, "Content-Type: "...), http.DetectContentType(a.body)...)
	return append(out, lineEnd...)
}
