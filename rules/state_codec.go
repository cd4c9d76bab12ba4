package rules

import (
	"encoding/json"
	"fmt"
)

// EncodeState writes a state as it is kept beside the record. The same state
// gives the same bytes; nil and a state with nothing to remember give none.
func EncodeState(s *State) ([]byte, error) {
	if s.empty() {
		return nil, nil
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode rule state: %w", err)
	}
	return raw, nil
}

// DecodeState reads what EncodeState wrote; no bytes are nil.
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
