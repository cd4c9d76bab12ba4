// Package format numbers the formats in which Gavel stores what it keeps, so that
// a binary does not open what a newer one wrote.
//
// The number stands in the file FileName of the data directory, and in the
// metadata of the journal's stream for a NATS server of the operator's.
package format

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"gavel/internal/wholefile"
)

// Current is the format that this build reads and writes. It is raised when an
// older build could not continue with what the newer one writes.
const Current = 1

const (
	// FileName is the file of the data directory that holds the number.
	FileName = "format"
	// MetadataKey holds the number in the metadata of the journal's stream.
	MetadataKey = "gavel.format"
)

// ErrNewer is returned for a format that this build does not know.
var ErrNewer = errors.New("a newer gavel wrote it")

// Check compares a stored number with Current. No number is format 1: Gavel wrote none at first.
func Check(stored string) error {
	if stored == "" {
		return nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(stored))
	switch {
	case err != nil || n < 1:
		return fmt.Errorf("its format is %q, which is not a number", stored)
	case n > Current:
		return fmt.Errorf("%w: its format is %d, and this gavel knows formats up to %d; start the newer gavel again", ErrNewer, n, Current)
	}
	return nil
}

// Claim refuses a data directory of a newer format and changes nothing there. Any
// other one gets the number Current. On a full volume a directory without a number stays so: that is
// format 1, and a later start writes it.
func Claim(dir string) error {
	stored, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the format: %w", err)
	}
	if err := Check(string(stored)); err != nil {
		return err
	}
	current := strconv.Itoa(Current) + "\n"
	if string(stored) == current {
		return nil
	}
	err = wholefile.Write(filepath.Join(dir, FileName), current)
	if err != nil && (len(stored) > 0 || !errors.Is(err, syscall.ENOSPC)) {
		return fmt.Errorf("write the format: %w", err)
	}
	return nil
}
