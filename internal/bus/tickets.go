package bus

import (
	"bytes"
	"encoding/json"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// tickets bring acknowledgements back to whoever published: one inbox for
// all, and a number for each message. The client library's own asynchronous
// publish does the same and costs twice as much.
type tickets struct {
	conn   *nats.Conn
	stream string // whose answers count
	plain  []byte // how its acknowledgements begin
	prefix string

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]ticket
}

// ticket is one message in flight. Its answer goes to a channel that has room
// for it.
type ticket struct {
	index   int
	answers chan<- answer
}

// answer says how a message fared; index is the publisher's own number for it.
type answer struct {
	index int
	ack   pubAck
	err   error
}

// pubAck is JetStream's acknowledgement. A duplicate is one too: the stream
// has the message.
type pubAck struct {
	Stream    string              `json:"stream"`
	Sequence  uint64              `json:"seq"`
	Duplicate bool                `json:"duplicate"`
	BatchSize int                 `json:"count"`
	Error     *jetstream.APIError `json:"error"`
}

func newTickets(conn *nats.Conn, stream string) (*tickets, error) {
	t := &tickets{
		conn: conn, stream: stream, plain: []byte(`{"stream":"` + stream + `","seq":`),
		prefix: conn.NewInbox() + ".", waiting: make(map[uint64]ticket),
	}
	if _, err := conn.Subscribe(t.prefix+anyTicket, t.answered); err != nil {
		return nil, err
	}
	return t, nil
}

// publish sends m and has its answer brought to answers, unless the ticket is
// returned before.
func (t *tickets) publish(m *nats.Msg, index int, answers chan<- answer) (number uint64, err error) {
	t.mu.Lock()
	t.last++
	number = t.last
	t.waiting[number] = ticket{index, answers}
	t.mu.Unlock()
	m.Reply = t.prefix + strconv.FormatUint(number, 36)
	if err := t.conn.PublishMsg(m); err != nil {
		t.giveBack(number)
		return 0, err
	}
	return number, nil
}

// giveBack reports whether the ticket was still waiting: if not, its answer is
// in the channel.
func (t *tickets) giveBack(number uint64) bool {
	_, waited := t.take(number)
	return waited
}

func (t *tickets) take(number uint64) (ticket, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := t.waiting[number]
	delete(t.waiting, number)
	return k, ok
}

func (t *tickets) answered(m *nats.Msg) {
	number, err := strconv.ParseUint(m.Subject[len(t.prefix):], 36, 64)
	if err != nil {
		return
	}
	if k, ok := t.take(number); ok {
		ack, err := t.parseAck(m)
		k.answers <- answer{k.index, ack, err}
	}
}

// parseAck reads what JetStream answered to a publish.
func (t *tickets) parseAck(m *nats.Msg) (pubAck, error) {
	var ack pubAck
	if seq, ok := t.parsePlainAck(m.Data); ok {
		return pubAck{Stream: t.stream, Sequence: seq}, nil
	}
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return ack, nats.ErrNoResponders
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return ack, jetstream.ErrInvalidJSAck
	}
	if ack.Error != nil {
		return ack, ack.Error
	}
	if ack.Stream != t.stream || ack.Sequence == 0 {
		return ack, jetstream.ErrInvalidJSAck
	}
	return ack, nil
}

// parsePlainAck reads the answer that all but a few are, without reflection:
// it comes tens of thousands of times a second. What it does not know it
// leaves to the JSON decoder.
func (t *tickets) parsePlainAck(data []byte) (seq uint64, ok bool) {
	rest, ok := bytes.CutPrefix(data, t.plain)
	if !ok {
		return 0, false
	}
	digits, ok := bytes.CutSuffix(rest, []byte("}"))
	if !ok || len(digits) == 0 || len(digits) > maxSeqDigits {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		seq = seq*10 + uint64(c-'0')
	}
	return seq, seq > 0
}

// maxSeqDigits cannot overflow 64 bits.
const maxSeqDigits = 19
