package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Files are the files of a process.
type Files struct {
	DataDir DataDir
	// Secrets are files that contain tokens, keys or passwords.
	Secrets []File
}

// DataDir is the data directory and the volume it is on.
type DataDir struct {
	Path    string
	Missing bool
	// Fault is why it could not be read.
	Fault error
	Mode  fs.FileMode
	// Writable is whether this user can write there.
	Writable bool
	// Journal is whether the embedded NATS stores its files there.
	Journal bool
	// Size and Free are bytes of the volume of the directory, also if it does
	// not exist yet; 0 and 0 if unknown.
	Size, Free int64
}

// File is one file with a secret.
type File struct {
	Path  string
	Fault error // why it could not be read
	Mode  fs.FileMode
}

// InspectDir reads the facts about a data directory, except Journal, and changes nothing.
func InspectDir(path string) DataDir {
	d := DataDir{Path: path}
	// A volume of unknown size is not judged.
	d.Size, d.Free, _ = volume(nearest(path))
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.Missing = true
	case err != nil:
		d.Fault = err
	default:
		d.Mode, d.Writable = info.Mode(), mayWrite(path)
	}
	return d
}

// nearest returns path, or the first folder above it that exists.
func nearest(path string) string {
	for {
		if _, err := os.Lstat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// InspectFile reads the facts about a file with a secret, but not the secret.
func InspectFile(path string) File {
	info, err := os.Stat(path)
	if err != nil {
		return File{Path: path, Fault: err}
	}
	return File{Path: path, Mode: info.Mode()}
}

// Permissions of users other than the owner.
const (
	othersWrite fs.FileMode = 0o022
	othersAny   fs.FileMode = 0o077
)

const (
	// littleRoom: the embedded NATS uses at most 80 % of the volume
	// (internal/bus), so below 20 % something else fills it.
	littleRoom = 0.20
	// noRoom: a completely full volume freezes a stream until the server is restarted.
	noRoom = 0.05
)

// Findings judges the files.
func (f Files) Findings() []Finding {
	found := append(f.DataDir.rights(), f.DataDir.room()...)
	for _, s := range f.Secrets {
		found = append(found, s.findings()...)
	}
	if len(found) == 0 {
		return []Finding{CheckFiles.ok("only their owner can read %s and %s with secrets; %s free",
			f.DataDir.Path, count(len(f.Secrets), "file"), size(f.DataDir.Free))}
	}
	return found
}

func (d DataDir) rights() (found []Finding) {
	switch {
	case d.Missing:
		return []Finding{CheckFiles.note("the data directory %s does not exist yet", d.Path).
			do("nothing: the first start creates it")}
	case d.Fault != nil:
		return []Finding{CheckFiles.fault("the data directory cannot be read: %v", d.Fault).
			do("run this as the user that runs Gavel, or set another one with --data-dir")}
	case !d.Mode.IsDir():
		return []Finding{CheckFiles.fault("the data directory %s is not a directory", d.Path).do("set another one with --data-dir")}
	}
	if !d.Writable {
		found = append(found, CheckFiles.fault("this user cannot write to the data directory %s", d.Path).
			do("run this as the user that runs Gavel, or change the directory's owner with chown"))
	}
	switch {
	case d.Mode&othersWrite != 0:
		found = append(found, CheckFiles.fault("other users may write to the data directory %s (%v): they can change the journal and the keys", d.Path, d.Mode.Perm()).
			do("chmod 700 %s", d.Path))
	case d.Mode&othersAny != 0:
		found = append(found, CheckFiles.warn("other users may read the data directory %s (%v), which contains names, phone numbers and keys", d.Path, d.Mode.Perm()).
			do("chmod 700 %s", d.Path))
	}
	return found
}

func (d DataDir) room() []Finding {
	if !d.Journal || d.Size == 0 {
		return nil
	}
	free := float64(d.Free) / float64(d.Size)
	format := "the volume of %s has %s free (%.0f %%)"
	switch {
	case free < noRoom:
		return []Finding{CheckFiles.fault(format+": a full volume stops the journal", d.Path, size(d.Free), 100*free).
			do("free space, or move the data directory to a larger volume")}
	case free < littleRoom:
		return []Finding{CheckFiles.warn(format, d.Path, size(d.Free), 100*free).
			do("find what fills it; the journal alone may use 70 %%")}
	}
	return nil
}

func (f File) findings() []Finding {
	switch {
	case f.Fault != nil:
		return []Finding{CheckFiles.fault("a file with a secret cannot be read: %v", f.Fault).
			do("run this as the user that runs Gavel, or change the file's owner with chown")}
	case f.Mode&othersWrite != 0:
		return []Finding{CheckFiles.fault("other users may write to %s (%v), which contains a secret", f.Path, f.Mode.Perm()).
			do("chmod 600 %s, and replace the secret if others use this machine", f.Path)}
	case f.Mode&othersAny != 0:
		return []Finding{CheckFiles.warn("other users may read %s (%v), which contains a secret", f.Path, f.Mode.Perm()).
			do("chmod 600 %s", f.Path)}
	}
	return nil
}
