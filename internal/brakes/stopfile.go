package brakes

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"gavel/events"
)

// StopFile is the name of the file in a data directory that stops the rules of
// all processes on that directory. It is for when nobody answers; anybody can
// make it, with or without a word in it.
const StopFile = "STOP"

// ErrStopFile is returned by Resume where such a file still stops.
var ErrStopFile = errors.New("the file STOP in the data directory still stops this process: remove it")

// WriteStopFile makes the file, in place of one that is there.
func WriteStopFile(dir string, s Stop) error {
	s.Stopped = true
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write the file STOP: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, StopFile), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the file STOP: %w", err)
	}
	return nil
}

// RemoveStopFile takes it away, and reports whether it was there.
func RemoveStopFile(dir string) (bool, error) {
	err := os.Remove(filepath.Join(dir, StopFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("remove the file STOP: %w", err)
	}
	return true, nil
}

// readStopFile reads it. That there is one stops, whatever is in it, and so
// does one that nobody can look at.
func readStopFile(dir string) (Stop, error) {
	if dir == "" {
		return Stop{}, nil
	}
	path := filepath.Join(dir, StopFile)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Stop{}, nil
	case err != nil:
		return Stop{Stopped: true, Reason: "file STOP"}, fmt.Errorf("look for the file STOP: %w", err)
	}
	return parseStopFile(firstOf(path), info), nil
}

// firstOf returns what a person can have written as a reason; what cannot be
// read says nothing.
func firstOf(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, 4*events.MaxReason))
	return string(text)
}

func parseStopFile(text string, info fs.FileInfo) Stop {
	s := Stop{}
	if json.Unmarshal([]byte(text), &s) != nil || s.Reason == "" {
		s = Stop{Reason: strings.Map(printable, strings.TrimSpace(text))}
	}
	s.Reason = cmp.Or(s.Reason, "file STOP")
	if s.At.IsZero() {
		s.At = info.ModTime().UTC()
	}
	s.Stopped = true
	return s
}

func printable(r rune) rune {
	if !unicode.IsPrint(r) {
		return ' '
	}
	return r
}
