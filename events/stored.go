package events

import (
	"fmt"
	"strings"
)

// StoredParser parses entries from the journal, in memory that it reuses. The zero value is ready for use.
type StoredParser struct {
	params  Params
	decoder decoder
}

// maxStoredParams bounds the parameters in one allocation, 32 bytes each: more than a batch of the projector has.
const maxStoredParams = 1 << 15

// Parse is the function Parse for a stored entry. The door has checked that its
// form is UTF-8 and has searched its texts (see clearTexts), which is more than
// half of the cost; everything else is checked again. The parser owns the slice
// Params of the event: it is valid until Reset. The strings in it stay valid.
func (p *StoredParser) Parse(e Entry) (Event, error) {
	count := strings.Count(e.Form, "&") + 1
	if count > MaxParams {
		return Event{}, fmt.Errorf("parse form: %w", ErrTooManyParams)
	}
	if cap(p.params)-len(p.params) < count {
		p.params = make(Params, 0, max(count, min(2*cap(p.params), maxStoredParams)))
	}
	p.decoder.trusted = true
	var params Params
	if e.Form != "" {
		var err error
		if params, err = p.decoder.form(p.params[len(p.params):], e.Form); err != nil {
			return Event{}, fmt.Errorf("parse form: %w", err)
		}
	}
	event, err := parse(e, params[:len(params):len(params)], identified)
	if err == nil {
		p.params = p.params[:len(p.params)+len(params)]
	}
	return event, err
}

// Reset makes the memory of all Params available to the next events: the Params
// returned so far must not be read again. Strings copied from them stay valid.
func (p *StoredParser) Reset() {
	clear(p.params)
	p.params = p.params[:0]
}
