package act

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"gavel/internal/twilio"
	"gavel/rules"
	"gavel/rules/schema"
)

// WebhookSettings are what all webhooks have in common.
type WebhookSettings struct {
	// Secrets sign every call, each by itself: during a rotation there are two.
	// Empty: every webhook step has to name a file of its own.
	Secrets []twilio.Secret
	// Allow are names of hosts, addresses and ranges of addresses that may be
	// called although they are inside the own network, or without TLS.
	Allow []string
	// HTTP lets calls go out without TLS, to whomever.
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
	// maxSecretFile bounds a file with a secret, in bytes: a wrong path must not
	// fill the memory.
	maxSecretFile = 1 << 10
	// secretFile is the parameter of a step that has a secret of its own.
	secretFile = "secret_file"
)

var (
	errSecret   = fmt.Errorf("is not %s and base64 of %d to %d bytes", secretPrefix, leastSecret, mostSecret)
	errNoSecret = errors.New("no secret to sign with")
)

// Check returns all that is wrong with the settings, joined. No text holds a
// secret.
func (s WebhookSettings) Check() error {
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

// readSigner reads a secret from its file, every time anew, so that it can be
// changed without a restart. The error names the file and nothing in it.
func readSigner(path string) (*standardwebhooks.Webhook, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecretFile {
		return nil, fmt.Errorf("read secret: %s %w", path, errSecret)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	signer, err := newSigner(twilio.Secret(strings.TrimSpace(string(text))))
	if err != nil {
		return nil, fmt.Errorf("read secret: %s %w", path, err)
	}
	return signer, nil
}

// CheckWebhooks says which webhook steps of a set could never be performed with
// these settings: nothing signs them, or their address may not be called. The
// error is schema.Faults. Rules that are off are not looked at.
func CheckWebhooks(set *rules.Set, settings WebhookSettings) error {
	c := webhookCheck{settings: settings, gate: newGate(settings)}
	for _, rule := range set.Rules {
		for i := range rule.Do {
			if step := &rule.Do[i]; rule.Mode != rules.Off && step.Kind == rules.StepWebhook {
				c.step(rule, step)
			}
		}
	}
	if len(c.faults) == 0 {
		return nil
	}
	return c.faults.Sorted()
}

// webhookCheck collects what is wrong.
type webhookCheck struct {
	settings WebhookSettings
	gate     *gate
	faults   schema.Faults
}

func (c *webhookCheck) step(rule *rules.Rule, step *rules.Step) {
	fault := func(format string, args ...any) {
		c.faults = append(c.faults, schema.Fault{
			File: rule.File, Line: step.Line, Column: 1, Rule: rule.Name, Message: fmt.Sprintf(format, args...),
		})
	}
	own := step.Params[secretFile]
	path, constant := "", true
	if own != nil {
		path, constant = own.Constant()
	}
	switch {
	case own == nil && len(c.settings.Secrets) == 0:
		fault("the webhook has no secret: set webhooks.secret in gavel.yaml, or %s in the step", secretFile)
	case !constant:
		fault("%s has to be written out: who calls in must not choose a file", secretFile)
	case own != nil:
		if _, err := readSigner(path); err != nil {
			fault("%s: %v", secretFile, err)
		}
	}
	if _, err := c.gate.check(writtenOut(step.Params["url"].String())); err != nil {
		fault("the webhook's url %v", err)
	}
}

// writtenOut is the beginning of an address, in which the host is: the load
// lets no expression stand in it.
func writtenOut(address string) string {
	address, _, _ = strings.Cut(address, "${")
	return address
}
