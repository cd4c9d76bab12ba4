package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gavel/internal/format"
)

// demoMark is the file that says that a data directory is a demo's.
const demoMark = "demo"

// openDataDir makes the folder, which only this user may read. It refuses a
// folder of a newer format. A demo's rules are live: it refuses any other folder
// that has something in it, because the journal there may be a real one, and any
// other process refuses a demo's folder, where the demo's rules are in force.
func (a *App) openDataDir(context.Context) error {
	if a.Presets != nil && (a.NATS.URL != Embedded || !a.Redis.Embedded()) {
		return errors.New("a demo's rules are live: they are for an embedded NATS and an embedded Redis only")
	}
	mark := filepath.Join(a.DataDir, demoMark)
	_, err := os.Lstat(mark)
	switch {
	case a.Presets == nil && err == nil:
		return fmt.Errorf("data directory %s is a demo's; --data-dir names another one", a.DataDir)
	case a.Presets != nil && err != nil:
		err = claimForDemo(a.DataDir, mark)
	default:
		err = os.MkdirAll(a.DataDir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("make the data directory: %w; --data-dir names another one", err)
	}
	if err := format.Claim(a.DataDir); err != nil {
		return fmt.Errorf("data directory %s: %w, or name another one with --data-dir", a.DataDir, err)
	}
	return nil
}

// claimForDemo makes an empty or missing folder a demo's.
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
	return os.WriteFile(mark, nil, 0o600)
}
