package rules

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"gavel/events"
)

// EncodeState encodes a state as JSON, in the form that is stored beside the record. The same state
// gives the same bytes; nil and a state with nothing to remember give no bytes. It runs for every
// fact of a conference, so it is hand-written: encoding/json takes five times as long.
func EncodeState(s *State) ([]byte, error) {
	if s.empty() {
		return nil, nil
	}
	w := stateWriter{buf: make([]byte, 0, 64+256*len(s.Stretches)+128*len(s.Flips))}
	w.open('{')
	w.time("now", s.Now)
	w.time("alarm", s.Alarm)
	list(&w, "stretches", s.Stretches, (*stateWriter).stretch)
	list(&w, "flips", s.Flips, (*stateWriter).flip)
	if len(s.Ladders) > 0 {
		raw, err := json.Marshal(s.Ladders)
		if err != nil {
			return nil, fmt.Errorf("encode rule state: %w", err)
		}
		w.key("ladders")
		w.buf = append(w.buf, raw...)
	}
	list(&w, "exemptions", s.Exemptions, (*stateWriter).exemption)
	w.flag("truncated", s.Truncated)
	w.close('}')
	return w.buf, nil
}

// DecodeState decodes what EncodeState encoded; no bytes give nil.
func DecodeState(raw []byte) (*State, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	s := new(State)
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, fmt.Errorf("decode rule state: %w", err)
	}
	return s, nil
}

// stateWriter writes the JSON that the tags of State and its parts describe.
// Empty fields are left out, except those that are never empty.
type stateWriter struct {
	buf  []byte
	more bool // something precedes in this object or list
}

func (w *stateWriter) open(with byte) {
	w.comma()
	w.buf, w.more = append(w.buf, with), false
}

func (w *stateWriter) close(with byte) { w.buf, w.more = append(w.buf, with), true }

func (w *stateWriter) comma() {
	if w.more {
		w.buf = append(w.buf, ',')
	}
	w.more = true
}

func (w *stateWriter) key(name string) {
	w.comma()
	w.buf = append(w.buf, '"')
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, '"', ':')
}

func (w *stateWriter) text(name, value string) {
	if value != "" {
		w.key(name)
		w.buf = events.AppendJSONString(w.buf, value)
	}
}

func (w *stateWriter) time(name string, t time.Time) {
	if !t.IsZero() {
		w.key(name)
		w.buf = append(w.buf, '"')
		w.buf = t.AppendFormat(w.buf, time.RFC3339Nano)
		w.buf = append(w.buf, '"')
	}
}

func (w *stateWriter) number(name string, n int) {
	if n != 0 {
		w.key(name)
		w.buf = strconv.AppendInt(w.buf, int64(n), 10)
	}
}

func (w *stateWriter) flag(name string, set bool) {
	if set {
		w.key(name)
		w.buf = append(w.buf, "true"...)
	}
}

// list writes a list, unless it is empty.
func list[T any](w *stateWriter, name string, items []T, write func(*stateWriter, *T)) {
	if len(items) == 0 {
		return
	}
	w.key(name)
	w.more = false
	w.open('[')
	for i := range items {
		w.open('{')
		write(w, &items[i])
		w.close('}')
	}
	w.close(']')
}

func (w *stateWriter) stretch(s *Stretch) {
	w.text("rule", s.Rule)
	w.text("version", s.Version)
	w.text("call_sid", s.CallSid)
	w.text("occasion", s.Occasion)
	w.time("since", s.Since)
	w.flag("stale", s.Stale)
	w.text("phase", string(s.Phase))
	w.number("attempt", s.Attempt)
	w.number("step", s.Step)
	w.number("of", s.Of)
	w.time("due", s.Due)
	w.ids("awaiting", s.Awaiting)
	w.flag("failed", s.Failed)
	w.time("turned", s.Turned)
	w.flag("acted", s.Acted)
	w.time("parked", s.Parked)
	w.text("next", s.Next)
	w.flag("undone", s.Undone)
	w.flag("quiet", s.Quiet)
	w.number("redo", s.Redo)
	w.number("redone", s.Redone)
	w.number("too_late", s.TooLate)
}

func (w *stateWriter) flip(f *Flip) {
	w.text("rule", f.Rule)
	w.text("call_sid", f.CallSid)
	w.time("due", f.Due)
}

func (w *stateWriter) exemption(e *ExemptUntil) {
	w.text("rule", e.Rule)
	w.time("until", e.Until)
}

func (w *stateWriter) ids(name string, ids []string) {
	if len(ids) == 0 {
		return
	}
	w.key(name)
	w.more = false
	w.open('[')
	for _, id := range ids {
		w.comma()
		w.buf = events.AppendJSONString(w.buf, id)
	}
	w.close(']')
}
