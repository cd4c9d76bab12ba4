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
	"syscall"
	"unicode"

	"gavel/events"
	"gavel/internal/wholefile"
)

// StopFile is the name of the file in a data directory that stops the rules of
// all processes on that directory. It works without NATS. Any user with access to
// the directory can create it, with a reason in it or empty.
const StopFile = "STOP"

// ErrStopFile is returned by Resume if a file STOP still stops this process.
var ErrStopFile = errors.New("the file STOP in the data directory still stops this process: remove it")

// WriteStopFile creates the file STOP in dir, or replaces it. On a full volume, which has no room
// for the reason, it creates an empty file, because that stops rules as well.
func WriteStopFile(dir string, s Stop) error {
	s.Stopped = true
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write the file STOP: %w", err)
	}
	path := filepath.Join(dir, StopFile)
	if err = wholefile.Write(path, string(text)+"\n"); errors.Is(err, syscall.ENOSPC) {
		err = wholefile.Touch(path)
	}
	if err != nil {
		return fmt.Errorf("write the file STOP: %w", err)
	}
	return nil
}

// RemoveStopFile removes the file STOP from dir and reports whether it existed.
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

// readStopFile reads the file STOP in dir; without a dir, rules are not stopped.
// The file stops rules whatever it contains, even if this process cannot access
// it.
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
		return Stop{Stopped: true, Reason: "file STOP"}, fmt.Errorf("find the file STOP: %w", err)
	}
	return parseStopFile(readStart(path), info), nil
}

// readStart returns the start of the file, long enough for a reason. It returns
// "" for a file that it cannot open.
func readStart(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, 4*events.MaxReason))
	return string(text)
}

// parseStopFile returns the stop that text describes: as JSON, or else as a plain
// reason. Its time defaults to that of the file.
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

// printable replaces characters that cannot be printed by a space.
func printable(r rune) rune {
	if !unicode.IsPrint(r) {
		return ' '
	}
	return r
}
