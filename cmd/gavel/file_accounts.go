package main

import (
	"fmt"
	"slices"

	"gavel/internal/twilio"
)

// fileAccount is one Twilio account. Tokens and secrets may contain ${NAME} of the
// environment, or be in separate files.
type fileAccount struct {
	Sid             string          `yaml:"sid"`
	Parent          string          `yaml:"parent"`
	AuthTokens      fileTokens      `yaml:"auth_tokens"`
	SharedKeys      []fileSharedKey `yaml:"shared_keys"`
	Regions         []fileRegion    `yaml:"regions"`
	APIKey          fileAPIKey      `yaml:"api_key"`
	CallbackQueries []string        `yaml:"callback_queries"`
}

// fileTokens are auth tokens by their place in a rotation, or a list of any number. The
// first of a list is the current one.
type fileTokens struct {
	fileRotation
	list []fileToken
}

type fileRotation struct {
	Current      string `yaml:"current"`
	CurrentFile  string `yaml:"current_file"`
	Next         string `yaml:"next"`
	NextFile     string `yaml:"next_file"`
	Previous     string `yaml:"previous"`
	PreviousFile string `yaml:"previous_file"`
}

// fileToken is a token of a list: its text, or {name, token or token_file}.
type fileToken struct {
	Name      string `yaml:"name"`
	Token     string `yaml:"token"`
	TokenFile string `yaml:"token_file"`
}

type fileSharedKey struct {
	ID         string `yaml:"id"`
	Secret     string `yaml:"secret"`
	SecretFile string `yaml:"secret_file"`
}

type fileRegion struct {
	Region     string     `yaml:"region"`
	API        string     `yaml:"api"`
	AuthTokens fileTokens `yaml:"auth_tokens"`
	APIKey     fileAPIKey `yaml:"api_key"`
}

type fileAPIKey struct {
	Sid        string `yaml:"sid"`
	Secret     string `yaml:"secret"`
	SecretFile string `yaml:"secret_file"`
}

// UnmarshalYAML reads a mapping or a list.
func (t *fileTokens) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(new([]any)) == nil {
		return unmarshal(&t.list)
	}
	return unmarshal(&t.fileRotation)
}

// UnmarshalYAML reads a text or a mapping.
func (t *fileToken) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&t.Token) == nil {
		return nil
	}
	type mapping fileToken
	return unmarshal((*mapping)(t))
}

// accounts returns the accounts of the file.
func (f *settingsFile) accounts(s *secrets) []twilio.Account {
	accounts := make([]twilio.Account, len(f.Accounts))
	for i, a := range f.Accounts {
		at := fmt.Sprintf("accounts[%d].", i)
		ring, more := a.AuthTokens.ring(s, at+"auth_tokens")
		accounts[i] = twilio.Account{
			Sid:             s.expand(at+"sid", a.Sid).Reveal(),
			Parent:          s.expand(at+"parent", a.Parent).Reveal(),
			Tokens:          ring,
			MoreTokens:      more,
			SharedKeys:      sharedKeys(s, at+"shared_keys", a.SharedKeys),
			APIKey:          a.APIKey.key(s, at+"api_key"),
			CallbackQueries: a.CallbackQueries,
		}
		for j, r := range a.Regions {
			accounts[i].Regions = append(accounts[i].Regions, r.region(s, fmt.Sprintf("%sregions[%d].", at, j)))
		}
	}
	return accounts
}

// ring returns the tokens at the key at. Those of a list have their name, or are named by
// their number.
func (t fileTokens) ring(s *secrets, at string) (ring twilio.KeyRing, more []twilio.Token) {
	if t.list == nil {
		return twilio.KeyRing{
			Current:  s.read(at+".current", t.Current, t.CurrentFile),
			Next:     s.read(at+".next", t.Next, t.NextFile),
			Previous: s.read(at+".previous", t.Previous, t.PreviousFile),
		}, nil
	}
	for i, item := range t.list {
		key := fmt.Sprintf("%s[%d]", at, i)
		secret := s.read(either(item.TokenFile != "", key+".token", key), item.Token, item.TokenFile)
		name := twilio.KeyName(either(item.Name != "", item.Name, fmt.Sprintf("token-%d", i+1)))
		if i == 0 && item.Name == "" {
			ring.Current = secret
			continue
		}
		more = append(more, twilio.Token{Name: name, Secret: secret})
	}
	return ring, more
}

// sharedKeys returns the keys without a fault: a faulty one is reported once, with its line.
func sharedKeys(s *secrets, at string, keys []fileSharedKey) (all []twilio.SharedKey) {
	for i, k := range keys {
		key, faults := fmt.Sprintf("%s[%d].", at, i), len(s.faults)
		if slices.ContainsFunc(keys[:i], func(other fileSharedKey) bool { return other.ID == k.ID }) {
			s.fault(key+"id", "is the ID of an earlier key; remove one of them")
		}
		secret := s.read(key+"secret", k.Secret, k.SecretFile)
		if secret == "" && len(s.faults) == faults {
			s.fault(key+"secret", "is empty; set secret or secret_file")
		}
		if len(s.faults) == faults {
			all = append(all, twilio.SharedKey{ID: twilio.KeyName(k.ID), Secret: secret})
		}
	}
	return all
}

func (k fileAPIKey) key(s *secrets, at string) twilio.APIKey {
	return twilio.APIKey{Sid: k.Sid, Secret: s.read(at+".secret", k.Secret, k.SecretFile)}
}

// region returns a region. The names of its tokens begin with its own.
func (r fileRegion) region(s *secrets, at string) twilio.Region {
	ring, more := r.AuthTokens.ring(s, at+"auth_tokens")
	region := twilio.Region{Name: r.Region, API: r.API, APIKey: r.APIKey.key(s, at+"api_key")}
	for _, t := range append(ring.All(), more...) {
		region.Tokens = append(region.Tokens, twilio.Token{Name: twilio.KeyName(r.Region) + "-" + t.Name, Secret: t.Secret})
	}
	return region
}

// fileSecret is one secret of the file: its text, or the path of the file that holds it. Both may be
// empty, and the text may hold variables.
type fileSecret struct{ text, path string }

// secrets returns all secrets of the account.
func (a fileAccount) secrets() []fileSecret {
	all := append(a.AuthTokens.secrets(), fileSecret{a.APIKey.Secret, a.APIKey.SecretFile})
	for _, k := range a.SharedKeys {
		all = append(all, fileSecret{k.Secret, k.SecretFile})
	}
	for _, r := range a.Regions {
		all = append(append(all, fileSecret{r.APIKey.Secret, r.APIKey.SecretFile}), r.AuthTokens.secrets()...)
	}
	return all
}

func (t fileTokens) secrets() []fileSecret {
	all := []fileSecret{{t.Current, t.CurrentFile}, {t.Next, t.NextFile}, {t.Previous, t.PreviousFile}}
	for _, item := range t.list {
		all = append(all, fileSecret{item.Token, item.TokenFile})
	}
	return all
}
