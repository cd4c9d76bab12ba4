package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gavel/internal/format"
	"gavel/internal/wholefile"
)

// demoMark is the file that marks a data directory as a demo's.
const demoMark = "demo"

// openDataDir creates the data directory, which only this user can read. It rejects
// a directory of a newer format. A demo's rules are live, so a demo rejects any
// other directory that contains files: the journal there may be a real one. Any
// other process rejects a demo's directory, because the demo's rules are in force
// there.
func (a *App) openDataDir(context.Context) error {
	if a.Presets != nil && (a.NATS.URL != Embedded || !a.Redis.Embedded()) {
		return errors.New("a demo's rules are live: a demo runs only with an embedded NATS and an embedded Redis")
	}
	mark := filepath.Join(a.DataDir, demoMark)
	_, err := os.Lstat(mark)
	switch {
	case a.Presets == nil && err == nil:
		return fmt.Errorf("data directory %s is a demo's; choose another one with --data-dir", a.DataDir)
	case a.Presets != nil && err != nil:
		err = claimForDemo(a.DataDir, mark)
	default:
		err = os.MkdirAll(a.DataDir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("create the data directory: %w; choose another one with --data-dir", err)
	}
	if err := format.Claim(a.DataDir); err != nil {
		return fmt.Errorf("data directory %s: %w, or choose another one with --data-dir", a.DataDir, err)
	}
	return nil
}

// claimForDemo marks an empty directory as a demo's, and creates it if it does not
// exist.
func claimForDemo(dir, mark string) error {
	found, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(found) > 0 {
		return fmt.Errorf("%s holds files that are not a demo's, and the demo's rules are live", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return wholefile.Touch(mark)
}
