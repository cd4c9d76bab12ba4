package jet

import (
	"bytes"
	"encoding/json"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Pipeline publishes many messages at a time to one stream. It is safe for concurrent use.
//
// Acknowledgements arrive at one inbox, with a number for each message. The client
// library's asynchronous publish does the same at twice the cost.
type Pipeline struct {
	conn   *nats.Conn
	stream string // the only stream whose acknowledgements are valid
	plain  []byte // how its acknowledgements begin
	prefix string

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]waiter
}

// waiter receives the answer to one message. The channel has a free slot for it.
type waiter struct {
	index   int
	answers chan<- answer
}

// answer is the result of a publish; index is the publisher's number of the message.
type answer struct {
	index int
	ack   pubAck
	err   error
}

// pubAck is JetStream's acknowledgement. A duplicate is acknowledged too, because
// the stream has the message.
type pubAck struct {
	Stream    string              `json:"stream"`
	Sequence  uint64              `json:"seq"`
	Duplicate bool                `json:"duplicate"`
	BatchSize int                 `json:"count"`
	Error     *jetstream.APIError `json:"error"`
}

// NewPipeline returns a pipeline to a stream. It works until conn is closed.
func NewPipeline(conn *nats.Conn, stream string) (*Pipeline, error) {
	p := &Pipeline{
		conn: conn, stream: stream, plain: []byte(`{"stream":"` + stream + `","seq":`),
		prefix: conn.NewInbox() + ".", waiting: make(map[uint64]waiter),
	}
	if _, err := conn.Subscribe(p.prefix+"*", p.answered); err != nil {
		return nil, err
	}
	return p, nil
}

// send publishes m. The answer is sent to answers unless forget is called first.
func (p *Pipeline) send(m *nats.Msg, index int, answers chan<- answer) (number uint64, err error) {
	p.mu.Lock()
	p.last++
	number = p.last
	p.waiting[number] = waiter{index, answers}
	p.mu.Unlock()
	m.Reply = p.prefix + strconv.FormatUint(number, 36)
	if err := p.conn.PublishMsg(m); err != nil {
		p.forget(number)
		return 0, err
	}
	return number, nil
}

// forget removes the waiter of a message. It returns false if the answer is in the channel already.
func (p *Pipeline) forget(number uint64) (waiter, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok := p.waiting[number]
	delete(p.waiting, number)
	return w, ok
}

func (p *Pipeline) answered(m *nats.Msg) {
	number, err := strconv.ParseUint(m.Subject[len(p.prefix):], 36, 64)
	if err != nil {
		return
	}
	if w, ok := p.forget(number); ok {
		ack, err := p.parseAck(m)
		w.answers <- answer{w.index, ack, err}
	}
}

// parseAck parses JetStream's answer to a publish.
func (p *Pipeline) parseAck(m *nats.Msg) (pubAck, error) {
	var ack pubAck
	if seq, ok := p.parsePlainAck(m.Data); ok {
		return pubAck{Stream: p.stream, Sequence: seq}, nil
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
	if ack.Stream != p.stream || ack.Sequence == 0 {
		return ack, jetstream.ErrInvalidJSAck
	}
	return ack, nil
}

// parsePlainAck parses the usual answer without reflection, because tens of
// thousands arrive in a second. The JSON decoder parses any other answer.
func (p *Pipeline) parsePlainAck(data []byte) (seq uint64, ok bool) {
	rest, ok := bytes.CutPrefix(data, p.plain)
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

// maxSeqDigits is how many digits fit into 64 bits in any case.
const maxSeqDigits = 19
