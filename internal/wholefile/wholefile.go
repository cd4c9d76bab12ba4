// Package wholefile replaces a file in one step that survives a power cut. Overwrite is for what only
// has to survive the end of the process.
package wholefile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// Write gives the file text as its content, with mode 0600. A reader, and a start after a crash,
// finds the old content or the new one. When Write returns nil, the new one is on disk.
func Write(path, text string) error {
	return WriteBy(path, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

// WriteBy is Write for a content that need not be in memory as a whole: write writes it. If write
// fails, the file keeps its content.
func WriteBy(path string, write func(io.Writer) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // no longer there if only the sync of the folder failed
		}
	}()
	if err = write(f); err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(dir)
}

// Overwrite writes a part of a file in place, without a sync. The part survives the end of the process
// and not a power cut, which may leave half of it: its reader has to notice that.
func Overwrite(path string, part []byte, at int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(part, at)
	return errors.Join(err, f.Close())
}

// InPlace opens a file whose parts are overwritten, with mode 0600, gives it a size, and returns its
// content. What is true of Overwrite is true of its writes.
func InPlace(path string, size int64) (f *os.File, content []byte, err error) {
	if f, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, nil, err
	}
	content, err = io.ReadAll(f)
	if err == nil && int64(len(content)) < size {
		err = f.Truncate(size) // a write in place needs no new size
	}
	return f, content, err
}

// Touch creates an empty file with mode 0600, or leaves the existing one as it is. It needs no
// free space for content.
func Touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), syncFolder(filepath.Dir(path)))
}

// syncFolder writes the names in a folder to disk: without it a power cut can undo a rename.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
