package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gavel/app"
	"gavel/internal/doctor"
)

func (x *examination) settings() []doctor.Finding {
	s := doctor.Settings{
		Door:         x.Roles.Has(app.Door),
		PublicURL:    x.PublicURL,
		EmbeddedNATS: x.NATS.URL == app.Embedded,
		Sync:         string(x.NATS.Sync),
	}
	for _, a := range x.Accounts {
		s.Accounts = append(s.Accounts, doctor.Account{Sid: a.Sid, Next: a.Tokens.Next != "", Previous: a.Tokens.Previous != ""})
	}
	return s.Findings()
}

func (x *examination) files() doctor.Files {
	f := doctor.Files{DataDir: lookAtDir(x.DataDir)}
	f.DataDir.Journal = x.NATS.URL == app.Embedded
	for _, path := range x.secretFiles() {
		info, err := os.Stat(path)
		if err != nil {
			f.Secrets = append(f.Secrets, doctor.File{Path: path, Fault: err})
			continue
		}
		f.Secrets = append(f.Secrets, doctor.File{Path: path, Mode: info.Mode()})
	}
	return f
}

func lookAtDir(path string) doctor.DataDir {
	d := doctor.DataDir{Path: path}
	// A volume that does not tell its size is not judged.
	d.Size, d.Free, _ = room(nearest(path))
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.Missing = true
		return d
	case err != nil:
		d.Fault = err
		return d
	}
	d.Mode, d.Writable = info.Mode(), mayWrite(path)
	return d
}

// nearest is path, or the folder above it that is there.
func nearest(path string) string {
	for !exists(path) && path != filepath.Dir(path) {
		path = filepath.Dir(path)
	}
	return path
}

// secretFiles are those that the settings name, and those that Gavel makes
// where they are made already.
func (x *examination) secretFiles() (paths []string) {
	for _, a := range x.file.Accounts {
		paths = append(paths, a.AuthTokens.CurrentFile, a.AuthTokens.NextFile, a.AuthTokens.PreviousFile, a.APIKey.SecretFile)
	}
	paths = append(paths, x.file.Redis.PasswordFile, x.file.Redis.TLS.Key, x.file.NATS.Credentials, x.file.NATS.TLS.Key)
	if x.file.holdsSecrets() {
		paths = append(paths, x.file.path)
	}
	for _, made := range []string{app.KeyFile, natsTokenName} {
		if path := filepath.Join(x.DataDir, made); exists(path) {
			paths = append(paths, path)
		}
	}
	return slices.DeleteFunc(paths, func(path string) bool { return path == "" })
}

// natsTokenName is the file under the data directory by which others reach the
// embedded NATS.
const natsTokenName = "nats.token"

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// holdsSecrets reports whether a secret stands in the file itself. One that is
// nothing but a variable of the environment does not; a URL with a user does.
func (f *settingsFile) holdsSecrets() bool {
	for _, url := range []*string{f.NATS.URL, f.Redis.URL} {
		if url != nil && strings.Contains(*url, "@") {
			return true
		}
	}
	texts := []string{f.Redis.Password}
	for _, a := range f.Accounts {
		texts = append(texts, a.AuthTokens.Current, a.AuthTokens.Next, a.AuthTokens.Previous, a.APIKey.Secret)
	}
	for _, text := range texts {
		if variable.ReplaceAllString(text, "") != "" {
			return true
		}
	}
	return false
}
