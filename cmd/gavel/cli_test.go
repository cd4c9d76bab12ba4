package main

import (
	"bytes"
	stdcmp "cmp"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// said is what a command printed and how it ended.
type said struct {
	out, err string
	code     int
}

// gavelSays runs a command in this process, with that environment and nothing to read.
func gavelSays(t *testing.T, variables map[string]string, args ...string) said {
	t.Helper()
	var out, err bytes.Buffer
	code := run(t.Context(), args, terminal{strings.NewReader(""), &out, &err, environment(variables)})
	return said{out.String(), err.String(), code}
}

// golden compares with a file in testdata, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		"", "serve", "demo", "twilio", "send", "tail", "conferences list", "conferences get", "conferences timeline",
		"keys create", "keys list", "keys revoke", "rules check", "rules test", "rules status", "rules armed", "rules reset", "decisions",
		"exempt", "stop", "resume", "deadletters list", "deadletters show", "deadletters redrive", "rebuild", "setup twilio", "journal verify", "journal accept", "doctor", "version",
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			help := gavelSays(t, nil, append(strings.Fields(command), "--help")...)
			if help.code != exitOK || help.err != "" {
				t.Fatalf("exit code %d, errors %q", help.code, help.err)
			}
			golden(t, "help/"+strings.ReplaceAll(stdcmp.Or(command, "gavel"), " ", "-")+".txt", help.out)
			if command != "" && !strings.Contains(help.out, "    gavel "+command) {
				t.Error("the help has no example of the command")
			}
		})
	}
}

func TestMistakesOnTheCommandLineAreUsageErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no command":      {nil, "`gavel demo` shows the main job"},
		"unknown command": {[]string{"sing"}, "unexpected argument sing"},
		"unknown flag":    {[]string{"serve", "--loud"}, "unknown flag --loud"},
		"bad enum":        {[]string{"tail", "--output", "xml"}, "--output"},
		"no account":      {[]string{"serve"}, "TWILIO_ACCOUNT_SID"},
		"nobody to sign":  {[]string{"send"}, "TWILIO_ACCOUNT_SID"},
		"missing file":    {[]string{"serve", "--config", "no-such.yaml"}, "no-such.yaml"},
		"bad server":      {[]string{"tail", "--server", "nowhere"}, "--server"},
		"bad key":         {[]string{"tail", "--api-key", "SK1"}, "SID:SECRET"},
		"bad share":       {[]string{"demo", "--lose", "2"}, "--lose: 2 is not 0 to 1"},
		"bad age":         {[]string{"conferences", "list", "--since", "ever", "--api-key", "a:b"}, "--since"},
		"bad length":      {[]string{"exempt", "support-103", "--for", "ever", "--reason", "x", "--api-key", "a:b"}, "--for"},
		"no reason":       {[]string{"stop"}, "--reason"},
		"bad letter":      {[]string{"deadletters", "show", "first"}, "<id>"},
		"bad limit":       {[]string{"conferences", "list", "--limit", "0", "--api-key", "a:b"}, "--limit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := gavelSays(t, nil, c.args...)
			if got.code != exitUsage || !strings.Contains(got.err, c.want) || !strings.HasPrefix(got.err, "gavel: ") {
				t.Errorf("exit code %d, errors %q; want %d and %q", got.code, got.err, exitUsage, c.want)
			}
		})
	}
}

func TestFailuresSayWhatToDo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nobody there": {[]string{"conferences", "list", "--server", "http://127.0.0.1:1", "--api-key", "a:b"}, "is `gavel serve` running there? --server names another address"},
		"no key":       {[]string{"conferences", "list", "--data-dir", "no-such-dir"}, "name a key with --api-key"},
		"no resume":    {[]string{"resume", "--reason", "x", "--server", "http://127.0.0.1:1", "--api-key", "a:b"}, "resume: the stop stays: "},
		"tail nobody":  {[]string{"tail", "--server", "http://127.0.0.1:1", "--api-key", "a:b"}, "is `gavel serve` running there?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := gavelSays(t, nil, c.args...); got.code != exitFailure || !strings.Contains(got.err, c.want) {
				t.Errorf("exit code %d, errors %q; want %d and %q", got.code, got.err, exitFailure, c.want)
			}
		})
	}
}

func TestCommandsFindTheGavelOfTheSameSettings(t *testing.T) {
	t.Parallel()
	const listen, admin = "listen: 127.0.0.1:1\n", "admin_listen: '0.0.0.0:2'\n"
	for name, c := range map[string]struct {
		file      string
		variables map[string]string
		want      string
		door      string
	}{
		"listen":                    {listen, nil, "http://127.0.0.1:1", "http://127.0.0.1:1"},
		"admin_listen":              {listen + admin, nil, "http://127.0.0.1:2", "http://127.0.0.1:1"},
		"server":                    {listen + "server: http://127.0.0.1:3\n", nil, "http://127.0.0.1:3", "http://127.0.0.1:1"},
		"the environment":           {listen, map[string]string{"GAVEL_LISTEN": "127.0.0.1:4"}, "http://127.0.0.1:4", "http://127.0.0.1:4"},
		"a port that serve chooses": {"listen: 127.0.0.1:0\n", nil, "http://127.0.0.1:8080", "http://127.0.0.1:8080"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "gavel.yaml")
			if err := os.WriteFile(file, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			root := &cli{terminal: terminal{strings.NewReader(""), t.Output(), t.Output(), environment(c.variables)}}
			parser, err := root.parser(func(int) {})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parser.Parse([]string{"conferences", "list", "--config", file}); err != nil {
				t.Fatal(err)
			}
			if got := root.Conferences.List.Server; got != c.want {
				t.Errorf("the command calls %s, want %s", got, c.want)
			}
			if _, err := parser.Parse([]string{"send", "--config", file}); err != nil {
				t.Fatal(err)
			}
			if got := root.Send.To; got != c.door {
				t.Errorf("send calls %s, want %s", got, c.door)
			}
		})
	}
}

func TestVersionNamesItsParts(t *testing.T) {
	t.Parallel()
	got := gavelSays(t, nil, "version")
	if got.code != exitOK || !strings.HasPrefix(got.out, "gavel ") || !strings.Contains(got.out, "go1.") {
		t.Errorf("version said %+v", got)
	}
}
