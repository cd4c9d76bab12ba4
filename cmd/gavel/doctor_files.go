package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gavel/app"
	"gavel/internal/bus/natsd"
	"gavel/internal/doctor"
	"gavel/internal/twilio"
)

func (x *examination) settings() []doctor.Finding {
	plain, _ := twilio.WithoutUser(x.PublicURL)
	s := doctor.Settings{
		Door:         x.Roles.Has(app.Door),
		PublicURL:    plain,
		EmbeddedNATS: x.NATS.URL == app.Embedded,
		Sync:         string(x.NATS.Sync),
	}
	for _, a := range x.Accounts {
		s.Accounts = append(s.Accounts, doctor.Account{Sid: a.Sid, Next: a.Tokens.Next != "", Previous: a.Tokens.Previous != ""})
	}
	return s.Findings()
}

func (x *examination) files() doctor.Files {
	f := doctor.Files{DataDir: doctor.InspectDir(x.DataDir)}
	f.DataDir.Journal = x.NATS.URL == app.Embedded
	for _, path := range x.secretFiles() {
		f.Secrets = append(f.Secrets, doctor.InspectFile(path))
	}
	return f
}

// secretFiles are those that the settings name, and those of Gavel's own that exist already.
func (x *examination) secretFiles() (paths []string) {
	for _, a := range x.file.Accounts {
		for _, s := range a.secrets() {
			paths = append(paths, s.path)
		}
	}
	paths = append(paths, x.file.Redis.PasswordFile, x.file.Redis.TLS.Key, x.file.NATS.Credentials, x.file.NATS.TLS.Key)
	if x.file.holdsSecrets() {
		paths = append(paths, x.file.path)
	}
	for _, made := range []string{app.KeyFile, natsd.TokenFile} {
		if path := filepath.Join(x.DataDir, made); exists(path) {
			paths = append(paths, path)
		}
	}
	return slices.DeleteFunc(paths, func(path string) bool { return path == "" })
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// holdsSecrets reports whether the file itself holds a secret. A value that is only
// an environment variable is not one; a URL with a user is.
func (f *settingsFile) holdsSecrets() bool {
	for _, url := range []*string{f.NATS.URL, f.Redis.URL} {
		if url != nil && strings.Contains(*url, "@") {
			return true
		}
	}
	texts := []string{f.Redis.Password}
	for _, a := range f.Accounts {
		for _, s := range a.secrets() {
			texts = append(texts, s.text)
		}
	}
	for _, text := range texts {
		if variable.ReplaceAllString(text, "") != "" {
			return true
		}
	}
	return false
}
