package jet

import (
	"encoding/json"
	"testing"

	"github.com/nats-io/nats.go"
)

const testStream = "GAVEL_EVENTS"

// This test is inside the package: its input comes from servers only, so no public
// function accepts it.

// The fast parser must return what the JSON decoder returns.
func FuzzParseAck(f *testing.F) {
	for _, s := range []string{
		`{"stream":"GAVEL_EVENTS","seq":7}`, `{"stream":"GAVEL_EVENTS","seq":7,"duplicate":true}`,
		`{"stream":"GAVEL_EVENTS","seq":0}`, `{"stream":"GAVEL_EVENTS","seq":07}`, `{"stream":"GAVEL_EVENTS","seq":}`,
		`{"stream":"GAVEL_EVENTS","seq":99999999999999999999}`, `{"error":{"code":503,"err_code":10008}}`,
		`{"stream":"OTHER","domain":"d","seq":7}`, `{"stream":"GAVEL_EVENTS","seq":7,"batch":"b","count":3}`, `{`, ``,
	} {
		f.Add([]byte(s))
	}
	pipeline := &Pipeline{stream: testStream, plain: []byte(`{"stream":"GAVEL_EVENTS","seq":`)}
	f.Fuzz(func(t *testing.T, data []byte) {
		ack, err := pipeline.parseAck(&nats.Msg{Data: data})
		if err == nil && (ack.Stream == "" || ack.Sequence == 0) {
			t.Errorf("%q is taken for an acknowledgement", data)
		}
		seq, short := pipeline.parsePlainAck(data)
		if !short || data[len(pipeline.plain)] == '0' {
			return
		}
		var long pubAck
		if err := json.Unmarshal(data, &long); err != nil || long.Sequence != seq || long.Stream != testStream {
			t.Errorf("%q: short %d, long %+v, %v", data, seq, long, err)
		}
	})
}
