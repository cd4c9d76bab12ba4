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

// maxSubject bounds the subject of a notice, in bytes; the server limits a whole protocol
// line to 4 KiB.
const maxSubject = 512

// Notices publishes messages of rules on subjects that the rules choose, with core NATS.
// Subscribers receive them, and a stream on the subject stores them.
type Notices struct{ conn *nats.Conn }

// Publish returns once the server has the notice, at most 2 s later. id is its Nats-Msg-Id,
// which a stream uses to refuse duplicates. After an error the notice may have been sent. An
// invalid subject, or one of Gavel or NATS, is a *events.FormError that does not show the
// subject, because it may hold names.
func (n *Notices) Publish(ctx context.Context, subject, id string, data []byte) error {
	if err := checkNotice(subject); err != nil {
		return fmt.Errorf("publish notice: %w", err)
	}
	if int64(len(data)) > n.conn.MaxPayload()-maxNoticeHeader {
		return fmt.Errorf("publish notice: %w", &events.FormError{Field: "data", Reason: "is longer than the server accepts"})
	}
	ctx, cancel := context.WithTimeout(ctx, jet.AttemptTimeout)
	defer cancel()
	m := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{headerMsgID: {id}}}
	err := n.conn.PublishMsg(m)
	if err == nil {
		err = n.conn.FlushWithContext(ctx)
	}
	if err != nil {
		return fmt.Errorf("publish notice: %w", err)
	}
	return nil
}

// maxNoticeHeader is more than the header of a notice has, in bytes.
const maxNoticeHeader = 512

func checkNotice(subject string) error {
	refuse := func(reason string) error { return &events.FormError{Field: "subject", Reason: reason} }
	if subject == "" || len(subject) > maxSubject {
		return refuse("is empty or too long")
	}
	words := strings.Split(subject, ".")
	for _, word := range words {
		if word == "" || strings.ContainsFunc(word, notInSubject) {
			return refuse("is not a subject to publish to")
		}
	}
	if words[0] == "gavel" || subject[0] == '$' || subject[0] == '_' {
		return refuse("is reserved for Gavel or NATS")
	}
	return nil
}

func notInSubject(r rune) bool {
	return r == '*' || r == '>' || unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar
}
