// Package logtest holds the log of a process under test.
package logtest

import (
	"bytes"
	"strings"
	"sync"
)

// Text is a log that processes write while a test reads it. The zero value is empty.
type Text struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (t *Text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

// String returns all that was written.
func (t *Text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// Tail returns the last bytes of the log, at most the given number, as valid UTF-8.
func (t *Text) Tail(most int) string {
	text := t.String()
	return strings.ToValidUTF8(text[max(0, len(text)-most):], "?")
}
