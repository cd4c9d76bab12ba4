package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"gavel/internal/plainyaml"
	"gavel/internal/twilio"
	"gavel/internal/webhook"
	"gavel/rules/schema"
)

// settingsFile is gavel.yaml: every flag by its name with underscores, and the
// settings without a flag.
type settingsFile struct {
	Listen      *string `yaml:"listen"`
	AdminListen *string `yaml:"admin_listen"`
	PublicURL   *string `yaml:"public_url"`
	DataDir     *string `yaml:"data_dir"`
	Sync        *string `yaml:"sync"`
	Keep        *string `yaml:"keep"`
	Roles       *string `yaml:"roles"`
	Rules       *string `yaml:"rules"`
	TwilioAPI   *string `yaml:"twilio_api"`
	Server      *string `yaml:"server"`

	Accounts []fileAccount `yaml:"accounts"`
	Door     fileDoor      `yaml:"door"`
	REST     fileREST      `yaml:"rest"`
	NATS     fileNATS      `yaml:"nats"`
	Redis    fileRedis     `yaml:"redis"`
	Webhooks fileWebhooks  `yaml:"webhooks"`
	Act      fileAct       `yaml:"act"`

	path string
	text []byte
}

type fileDoor struct {
	Speech speech `yaml:"speech"`
}

// fileREST are the settings of the Twilio-shaped API.
type fileREST struct {
	ListDefault listDefault `yaml:"list_default"`
}

// fileAct are the settings of role act.
type fileAct struct {
	FetchEnded *bool `yaml:"fetch_ended"`
}

type fileNATS struct {
	URL             *string  `yaml:"url"`
	Listen          *string  `yaml:"listen"`
	Sync            *string  `yaml:"sync"`
	Credentials     string   `yaml:"credentials"`
	TLS             tlsFiles `yaml:"tls"`
	Replicas        int      `yaml:"replicas"`
	Lanes           int      `yaml:"lanes"`
	JournalMaxBytes int64    `yaml:"journal_max_bytes"`
}

type fileRedis struct {
	URL          *string  `yaml:"url"`
	TLS          tlsFiles `yaml:"tls"`
	Username     string   `yaml:"username"`
	Password     string   `yaml:"password"`
	PasswordFile string   `yaml:"password_file"`
}

// fileWebhooks are the settings of the webhooks that rules call. During a rotation
// there are several secrets, and each signs.
type fileWebhooks struct {
	Secret     oneOrMore `yaml:"secret"`
	SecretFile oneOrMore `yaml:"secret_file"`
	Allow      []string  `yaml:"allow"`
	HTTP       bool      `yaml:"http"`
}

// oneOrMore is a string or a list of strings.
type oneOrMore []string

// UnmarshalYAML reads either.
func (o *oneOrMore) UnmarshalYAML(unmarshal func(any) error) error {
	var one string
	if unmarshal(&one) == nil {
		*o = oneOrMore{one}
		return nil
	}
	return unmarshal((*[]string)(o))
}

// tlsFiles are paths of PEM files.
type tlsFiles struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// byteOrderMark is what some editors put before a text.
var byteOrderMark = []byte("\ufeff")

// parseSettings reads gavel.yaml. Its error has all unknown keys and all values of the wrong kind, with
// file, line and key; no error quotes a value, because values may be secrets.
func parseSettings(path string, text []byte) (*settingsFile, error) {
	file := &settingsFile{path: path, text: bytes.TrimPrefix(text, byteOrderMark)}
	root, err := plainyaml.Parse(text)
	if err == nil && root != nil {
		if faults := settingsFaults(path, root); faults != nil {
			return nil, faults
		}
		err = plainyaml.DecodeNode(root, file)
	}
	if err != nil {
		return nil, settingsError(path, err)
	}
	if file.Sync != nil && file.NATS.Sync != nil {
		return nil, fmt.Errorf("%s: sync and nats.sync are the same setting; keep one", path)
	}
	return file, nil
}

// settingsError returns where the first fault is.
func settingsError(path string, err error) error {
	f := faultFinder{path: path}
	f.add(settingFault(err, nil))
	return f.faults[0]
}

// settingFault returns the line of a fault, 0 if go-yaml does not state it, and what it is, in one line
// and without the lines around it, which go-yaml would print. keys are those that an unknown key can
// have been meant to be.
func settingFault(err error, keys []string) (line int, message string) {
	key, text := "", ""
	if located := yaml.Error(nil); errors.As(err, &located) && located.GetToken() != nil {
		line, key, text = located.GetToken().Position.Line, located.GetToken().Value, located.GetMessage()
	}
	var wrong valueError
	var unknown *yaml.UnknownFieldError
	var mistyped *yaml.TypeError
	var misplaced *yaml.UnexpectedNodeTypeError
	switch {
	case errors.As(err, &wrong):
		return line, wrong.Error()
	case errors.As(err, &unknown):
		return line, fmt.Sprintf("unknown key %q", key) + schema.Nearest(key, keys)
	case strings.Contains(text, "already defined"): // an error without its own type
		return line, fmt.Sprintf("key %q is given twice", key)
	case errors.As(err, &mistyped):
		return line, "the value must be " + mistyped.DstType.String()
	case errors.As(err, &misplaced):
		return line, "the value must be " + strings.ToLower(misplaced.Expected.String())
	}
	return line, "is not valid YAML"
}

// valueError is a fault of a value that go-yaml accepts.
type valueError string

func (e valueError) Error() string { return string(e) }

// flag returns the value that the file has for a flag.
func (f *settingsFile) flag(name string) (string, bool) {
	value := map[string]*string{
		"listen":       f.Listen,
		"admin-listen": f.AdminListen,
		"public-url":   f.PublicURL,
		"data-dir":     f.DataDir,
		"nats":         f.NATS.URL,
		"nats-listen":  f.NATS.Listen,
		"sync":         either(f.NATS.Sync != nil, f.NATS.Sync, f.Sync),
		"redis":        f.Redis.URL,
		"keep":         f.Keep,
		"roles":        f.Roles,
		"rules":        f.Rules,
		"twilio-api":   f.TwilioAPI,
		"server":       f.Server,
	}[name]
	if value == nil {
		return "", false
	}
	return *value, true
}

// secrets resolves the secrets of the file, and collects their faults.
type secrets struct {
	lookup func(name string) (string, bool)
	file   *settingsFile
	faults []error
	keys   []string // of the faults
}

// read returns a secret from its text or from its file. key is the setting's place in
// the file: accounts[0].auth_tokens.current.
func (s *secrets) read(key, text, path string) twilio.Secret {
	switch {
	case text != "" && path != "":
		s.fault(key, "set both as a value and as a file")
	case path != "":
		return s.fromFile(key+"_file", path)
	case text != "":
		return s.expand(key, text)
	}
	return ""
}

func (s *secrets) fromFile(key, path string) twilio.Secret {
	text, err := os.ReadFile(path)
	if err != nil {
		s.fault(key, err.Error()) // the error names only the path
		return ""
	}
	secret := strings.TrimSpace(string(bytes.TrimPrefix(text, byteOrderMark)))
	if secret == "" {
		s.fault(key, path+" is empty")
	}
	return twilio.Secret(secret)
}

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// expand replaces each ${NAME} with the value in the environment.
func (s *secrets) expand(key, text string) twilio.Secret {
	return twilio.Secret(variable.ReplaceAllStringFunc(text, func(match string) string {
		name := match[2 : len(match)-1]
		value, ok := s.lookup(name)
		if !ok {
			s.fault(key, "the environment has no "+name)
		}
		return value
	}))
}

func (s *secrets) fault(key, what string) {
	s.faults, s.keys = append(s.faults, fmt.Errorf("%s: %s: %s", s.file.where(key), key, what)), append(s.keys, key)
}

// faulty reports whether there is a fault of a key or below it.
func (s *secrets) faulty(key string) bool {
	return slices.ContainsFunc(s.keys, func(k string) bool { return strings.HasPrefix(k, key+".") })
}

// where returns the file with the line of a key, or of what it should be in, or only the file if it
// has neither.
func (f *settingsFile) where(key string) string {
	// A list of one may be written without its brackets.
	for _, key := range []string{key, strings.TrimSuffix(key, "[0]"), key[:max(strings.LastIndex(key, "."), 0)]} {
		path, err := yaml.PathString("$." + key)
		if err != nil {
			continue
		}
		if node, err := path.ReadNode(bytes.NewReader(f.text)); err == nil && node.GetToken() != nil {
			return fmt.Sprintf("%s:%d", f.path, node.GetToken().Position.Line)
		}
	}
	return f.path
}

// webhooks returns the webhook settings of the file.
func (f *settingsFile) webhooks(s *secrets) webhook.Settings {
	settings := webhook.Settings{Allow: f.Webhooks.Allow, HTTP: f.Webhooks.HTTP}
	for i, text := range f.Webhooks.Secret {
		settings.Secrets = append(settings.Secrets, s.expand(fmt.Sprintf("webhooks.secret[%d]", i), text))
	}
	for _, path := range f.Webhooks.SecretFile {
		settings.Secrets = append(settings.Secrets, s.fromFile("webhooks.secret_file", path))
	}
	return settings
}

func either[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}
