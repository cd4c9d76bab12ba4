package jet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
)

// getMessage is a request that the stream's leader answers: $JS.API.STREAM.MSG.GET.<stream>.
const getMessage = "$JS.API.STREAM.MSG.GET."

// scheduleHeaders begin the names of the headers that RemoveDamaged stores again.
const scheduleHeaders = "Nats-Schedule"

// lastMessage is the last message of a subject in JetStream's answer to STREAM.MSG.GET.
type lastMessage struct {
	Sequence uint64 `json:"seq"`
	Header   []byte `json:"hdrs"`
	Data     []byte `json:"data"`
}

// lastFromLeader returns the last message of a subject. The error is events.ErrKeyNotFound if it does
// not exist or is damaged. The client library would read from any replica, as buckets allow.
func lastFromLeader(ctx context.Context, js jetstream.JetStream, stream, subject string) (*lastMessage, error) {
	request, err := json.Marshal(map[string]string{"last_by_subj": subject})
	if err != nil {
		return nil, err
	}
	answer, err := js.Conn().RequestWithContext(ctx, getMessage+stream, request)
	if err != nil {
		return nil, err
	}
	var reply struct {
		Error   *jetstream.APIError `json:"error"`
		Message *lastMessage        `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &reply); err != nil {
		return nil, err
	}
	switch {
	case reply.Error != nil && reply.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, events.ErrKeyNotFound
	case reply.Error != nil:
		return nil, reply.Error
	case reply.Message == nil:
		return nil, jetstream.ErrInvalidJSAck
	}
	return reply.Message, nil
}

// RemoveDamaged stores a stream of one message for each subject again without the messages that the
// server cannot read, and reports whether there were any. Otherwise the next message of such a
// subject would freeze the stream, because the server has to read the one that it replaces. Sequences
// go on counting. A crash between the purge and the last write loses messages. Of headers, only those of
// a schedule are stored again, and marks of deleted keys are not.
func RemoveDamaged(ctx context.Context, js jetstream.JetStream, name string, log *slog.Logger) (damaged bool, err error) {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return false, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return false, err
	}
	var whole []*nats.Msg
	for subject := range info.State.Subjects {
		m, err := lastFromLeader(ctx, js, name, subject)
		switch {
		case errors.Is(err, events.ErrKeyNotFound):
			log.Error("message is damaged and is removed", "stream", name, "key", subject)
			damaged = true
		case err != nil:
			return false, err
		case !m.deletes():
			whole = append(whole, &nats.Msg{Subject: subject, Data: m.Data, Header: m.schedule()})
		}
	}
	if !damaged {
		return false, nil
	}
	if err := stream.Purge(ctx); err != nil {
		return true, fmt.Errorf("remove damaged messages: %w", err)
	}
	for _, m := range whole {
		if _, err := js.PublishMsg(ctx, m); err != nil {
			return true, fmt.Errorf("store again what is not damaged: %w", err)
		}
	}
	return true, nil
}

// schedule returns the headers of a schedule that has not been due, nil without them.
func (m *lastMessage) schedule() nats.Header {
	all, err := nats.DecodeHeadersMsg(m.Header)
	if err != nil || all.Get(scheduleHeaders) == "" {
		return nil
	}
	kept := nats.Header{}
	for name, values := range all {
		if strings.HasPrefix(name, scheduleHeaders) {
			kept[name] = values
		}
	}
	return kept
}
