package keys

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"gavel/events"
	"gavel/internal/wholefile"
)

const firstName = "made at first start"

// ErrFile is returned for a key file that does not hold "SID:secret".
var ErrFile = errors.New("key file does not hold SID:secret")

// EnsureFirst creates an admin's key if no key exists or damage has removed the one in the file, and writes "SID:secret"
// to a file at path that only its owner may read: an operator who can read
// Gavel's data may use its API. It reports whether it created a key.
//
// The file is written first: a crash before the key is stored leaves a file without a key, which
// the next start replaces, and not a key whose secret is lost.
func (k *Keys) EnsureFirst(ctx context.Context, path string) (made bool, err error) {
	if k.Damage() != nil {
		return false, nil // a new key would be as little valid as the others
	}
	if sid, _, err := ReadFile(path); len(k.List()) > 0 && (err != nil || !k.isLost(sid)) {
		return false, k.raiseFirst(ctx, path)
	}
	s, secret, err := newKey(firstName, Admin, nil, k.now())
	if err != nil {
		return false, err
	}
	if err := wholefile.Write(path, s.Sid+":"+secret+"\n"); err != nil {
		return false, fmt.Errorf("write first key: %w", err)
	}
	err = k.put(ctx, s)
	return err == nil, err
}

// raiseFirst makes the first key of a version without roles, which counts as a
// viewer, an admin. The key must be the one in the file: that proves that the
// operator who starts this process has it.
func (k *Keys) raiseFirst(ctx context.Context, path string) error {
	sid, secret, err := ReadFile(path)
	if err != nil {
		return nil // the file and the key in it are optional
	}
	s, ok := k.stored(sid)
	if !ok || !s.opens(secret) || s.Name != firstName || s.Role != Viewer || len(s.Accounts) > 0 {
		return nil
	}
	s.Role = Admin
	return k.put(ctx, s)
}

// ReadFile reads a file that EnsureFirst wrote.
func ReadFile(path string) (sid, secret string, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", "", fmt.Errorf("read key: %w", err)
	}
	sid, secret, ok := strings.Cut(strings.TrimSpace(string(b)), ":")
	if !ok || !events.IsSid(sidPrefix, sid) || secret == "" {
		return "", "", fmt.Errorf("read key: %s: %w", path, ErrFile)
	}
	return sid, secret, nil
}
