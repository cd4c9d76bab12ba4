package webhook

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"gavel/internal/twilio"
)

// Settings are what an operator sets for all webhooks.
type Settings struct {
	// Secrets sign every call, each by itself: during a rotation there are two.
	// Empty: every request has to name a file of its own.
	Secrets []twilio.Secret
	// Allow are names of hosts, addresses and ranges of addresses that may be
	// called although they are inside the own network, or without TLS.
	Allow []string
	// HTTP lets calls go out without TLS, to any host.
	HTTP bool
}

// Bounds of a secret in bytes (Standard Webhooks, "Symmetric").
const (
	leastSecret = 24
	mostSecret  = 64
)

const (
	// secretPrefix opens a secret as it is written.
	secretPrefix = "whsec_"
	// maxSecrets is more than a rotation needs; each makes the header longer.
	maxSecrets = 4
	// maxSecretFile bounds a file with a secret, in bytes: a wrong path must not fill the memory.
	maxSecretFile = 1 << 10
)

var (
	errSecret   = fmt.Errorf("is not %s and base64 of %d to %d bytes", secretPrefix, leastSecret, mostSecret)
	errNoSecret = errors.New("no secret to sign with")
)

// Check returns all that is wrong with the settings, joined. No text holds a secret.
func (s Settings) Check() error {
	var faults []error
	for i, secret := range s.Secrets {
		if _, err := newSigner(secret); err != nil {
			faults = append(faults, fmt.Errorf("webhooks.secret: number %d %w", i+1, err))
		}
	}
	if len(s.Secrets) > maxSecrets {
		faults = append(faults, fmt.Errorf("webhooks.secret: there are %d, the most are %d", len(s.Secrets), maxSecrets))
	}
	for i, entry := range s.Allow {
		if _, isAddress := parsePrefix(entry); !isAddress && !hostPattern.MatchString(entry) {
			faults = append(faults, fmt.Errorf("webhooks.allow: number %d is neither a host, an address nor a range like 10.1.0.0/16", i+1))
		}
	}
	return errors.Join(faults...)
}

// hostPattern is a name without a port and without patterns. Its last part is
// no number, for 10.1 and 0x7f.1 are addresses to some resolvers.
var hostPattern = regexp.MustCompile(`^([A-Za-z0-9_-]+\.)*[A-Za-z_-][A-Za-z0-9_-]*\.?$`)

// newSigner reads a secret.
func newSigner(secret twilio.Secret) (*standardwebhooks.Webhook, error) {
	text, ok := strings.CutPrefix(secret.Reveal(), secretPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < leastSecret || len(key) > mostSecret {
		return nil, errSecret
	}
	return standardwebhooks.NewWebhookRaw(key)
}

// CheckAddress parses an address. The error says why it must not be called, as
// the rest of a sentence about it, and does not quote it. A name may still resolve
// to an address that Call refuses.
func (s Settings) CheckAddress(address string) (*url.URL, error) { return newGate(s).check(address) }

// CheckSecretFile returns why a file cannot be used as a Request's SecretFile. The
// error names the file and nothing in it.
func CheckSecretFile(path string) error {
	_, err := readSigner(path)
	return err
}

// readSigner reads a secret from its file, for every call again, so that it can be
// changed without a restart.
func readSigner(path string) (*standardwebhooks.Webhook, error) {
	var text []byte
	info, err := os.Stat(path)
	if err == nil && info.Mode().IsRegular() && info.Size() <= maxSecretFile {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	signer, err := newSigner(twilio.Secret(strings.TrimSpace(string(text))))
	if err != nil {
		return nil, fmt.Errorf("read secret: %s %w", path, err)
	}
	return signer, nil
}
