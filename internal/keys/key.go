package keys

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"gavel/events"
)

// Limits of a key.
const (
	// MaxName bounds a key's name, in characters: long enough for a phrase,
	// short enough for a table.
	MaxName = 64
	// MaxAccounts bounds the accounts of one key; a key for more must be for all.
	MaxAccounts = 1000
)

const (
	sidPrefix = "SK"
	// secretLength is that of Twilio's API key secrets: 32 of 62 characters are 190 bits.
	secretLength   = 32
	secretAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// ErrInvalid is wrapped by every error about the properties of a new key.
var ErrInvalid = errors.New("invalid key")

// Key is an API key without its secret.
type Key struct {
	// Sid is SK and 32 hex digits, as Twilio's are: Twilio's clients check that.
	Sid  string `json:"sid"`
	Name string `json:"name"`
	// Role is what the key may do. Keys of versions without roles are viewers.
	Role Role `json:"role"`
	// Accounts are the AccountSids it may access; empty means all.
	Accounts []string  `json:"accounts"`
	Created  time.Time `json:"created"`
}

// stored is a key as the bucket holds it. The hash is a plain SHA-256: a slow
// hash protects guessable passwords, but 190 random bits cannot be guessed, and
// a slow hash would only slow down each request.
type stored struct {
	Key
	SHA256 string `json:"sha256"`

	hash [sha256.Size]byte
}

// newKey creates a key and its secret.
func newKey(name string, role Role, accounts []string, now time.Time) (stored, string, error) {
	if n := utf8.RuneCountInString(name); n == 0 || n > MaxName || !utf8.ValidString(name) {
		return stored{}, "", fmt.Errorf("%w: a name must have 1 to %d characters", ErrInvalid, MaxName)
	}
	accounts, err := canonicalAccounts(accounts)
	if err == nil {
		err = role.check(accounts)
	}
	if err != nil {
		return stored{}, "", err
	}
	secret := newSecret()
	hash := sha256.Sum256([]byte(secret))
	return stored{
		Key:    Key{Sid: newSid(), Name: name, Role: role, Accounts: accounts, Created: now.UTC().Truncate(time.Second)},
		SHA256: hex.EncodeToString(hash[:]),
		hash:   hash,
	}, secret, nil
}

func canonicalAccounts(accounts []string) ([]string, error) {
	if len(accounts) > MaxAccounts {
		return nil, fmt.Errorf("%w: more than %d accounts", ErrInvalid, MaxAccounts)
	}
	out := make([]string, 0, len(accounts))
	for _, sid := range accounts {
		if !events.IsSid("AC", sid) {
			return nil, fmt.Errorf("%w: an account must be AC and 32 hex digits", ErrInvalid)
		}
		out = append(out, events.CanonicalSid(sid))
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// parseStored parses a value of the bucket.
func parseStored(value []byte) (stored, error) {
	var s stored
	if err := json.Unmarshal(value, &s); err != nil {
		return stored{}, fmt.Errorf("parse key: %w", err)
	}
	hash, err := hex.DecodeString(s.SHA256)
	if err != nil || len(hash) != len(s.hash) {
		return stored{}, errors.New("parse key: hash is not 64 hex digits")
	}
	copy(s.hash[:], hash)
	if s.Role == "" {
		s.Role = Viewer
	}
	if err := s.Role.check(s.Accounts); err != nil {
		return stored{}, fmt.Errorf("parse key: %w", err)
	}
	return s, nil
}

// opens reports, in constant time, whether secret is the key's.
func (s stored) opens(secret string) bool {
	hash := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(hash[:], s.hash[:]) == 1
}

func newSid() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return sidPrefix + hex.EncodeToString(b[:])
}

// newSecret discards the bytes that would make some characters more likely.
func newSecret() string {
	const fair = 256 - 256%len(secretAlphabet)
	secret := make([]byte, 0, secretLength)
	for len(secret) < secretLength {
		var b [secretLength]byte
		rand.Read(b[:])
		for _, c := range b {
			if int(c) < fair && len(secret) < secretLength {
				secret = append(secret, secretAlphabet[int(c)%len(secretAlphabet)])
			}
		}
	}
	return string(secret)
}
