package bus

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/nats-io/nats.go"

	"gavel/events"
	"gavel/internal/bus/jet"
)

// maxSubject bounds the subject of a notice, in bytes; the server's own limit
// is for a whole line of its protocol, 4 KiB.
const maxSubject = 512

// Notices is what rules tell others on subjects of their own choice, with core
// NATS: whoever listens hears it, a stream that takes the subject keeps it.
type Notices struct{ conn *nats.Conn }

// Publish returns once the server has the notice, at most 2 s later; id is in its Nats-Msg-Id, by
// which a stream refuses the second of two. With an error nobody knows whether it
// went out. A subject that can be none, or is Gavel's or NATS's own, is a
// *events.FormError, which does not tell it: it may hold names.
func (n *Notices) Publish(ctx context.Context, subject, id string, data []byte) error {
	if err := checkNotice(subject); err != nil {
		return fmt.Errorf("publish notice: %w", err)
	}
	if int64(len(data)) > n.conn.MaxPayload()-maxNoticeHeader {
		return fmt.Errorf("publish notice: %w", &events.FormError{Field: "data", Reason: "is longer than the server takes"})
	}
	ctx, cancel := context.WithTimeout(ctx, jet.AttemptTimeout)
	defer cancel()
	m := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{headerMsgID: {id}}}
	if err := n.conn.PublishMsg(m); err != nil {
		return fmt.Errorf("publish notice: %w", err)
	}
	if err := n.conn.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("publish notice: %w", err)
	}
	return nil
}

// maxNoticeHeader is more than a notice's header takes of the payload.
const maxNoticeHeader = 512

func checkNotice(subject string) error {
	refuse := func(reason string) error { return &events.FormError{Field: "subject", Reason: reason} }
	if subject == "" || len(subject) > maxSubject {
		return refuse("is empty or too long")
	}
	words := strings.Split(subject, ".")
	for _, word := range words {
		if word == "" || strings.ContainsFunc(word, notInSubject) {
			return refuse("is no subject to publish to")
		}
	}
	if words[0] == "gavel" || subject[0] == '$' || subject[0] == '_' {
		return refuse("is Gavel's or NATS's own")
	}
	return nil
}

func notInSubject(r rune) bool {
	return r == '*' || r == '>' || unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar
}
