package gavel_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gavel/events"
	"gavel/projections"
)

// What the documents name has to exist, and their examples are run.

// documents returns all documents for people, by path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	return read(t, "*.md", "docs/*.md", "docs/adr/*.md", "bench/*.md")
}

// read returns the files that match, by path.
func read(t *testing.T, patterns ...string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("nothing matches %s: %v", pattern, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files[path] = string(text)
		}
	}
	return files
}

// all returns what the expression's first group finds in the texts.
func all(expression string, texts ...string) map[string]bool {
	found := map[string]bool{}
	for _, text := range texts {
		for _, match := range regexp.MustCompile(expression).FindAllStringSubmatch(text, -1) {
			found[match[1]] = true
		}
	}
	return found
}

func join(files map[string]string) string {
	return strings.Join(slices.Collect(maps.Values(files)), "\n")
}

// same reports the names that only one of two sets contains.
func same(t *testing.T, what string, want, got map[string]bool) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !got[name] {
			t.Errorf("%s: %s is missing", what, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if !want[name] {
			t.Errorf("%s: %s does not exist", what, name)
		}
	}
}

func TestPathsInDocumentsExist(t *testing.T) {
	t.Parallel()
	for document, text := range documents(t) {
		for path := range all("`([A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_.-]+)+|[A-Za-z_-]+\\.(?:go|md|yml))`", text) {
			root, rest, _ := strings.Cut(path, "/")
			if _, err := os.Stat(root); err != nil && rest != "" || strings.Contains(rest, "node_modules") {
				continue // not in this repository, or not in a fresh clone
			}
			if _, err := os.Stat(strings.TrimSuffix(path, "/...")); err != nil {
				t.Errorf("%s names %s, which does not exist", document, path)
			}
		}
		for link := range all(`\]\(([^)#:]+)(?:#[^)]*)?\)`, text) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(document), link)); err != nil {
				t.Errorf("%s links to %s, which does not exist", document, link)
			}
		}
	}
}

func TestLinksWithinDocumentsLeadToHeadings(t *testing.T) {
	t.Parallel()
	texts := documents(t)
	for document, text := range texts {
		for _, link := range regexp.MustCompile(`\]\(([^)#:]*)#([^)]+)\)`).FindAllStringSubmatch(text, -1) {
			to := document
			if link[1] != "" {
				to = filepath.Join(filepath.Dir(document), link[1])
			}
			if !headings(texts[to])[link[2]] {
				t.Errorf("%s links to #%s, which does not exist in %s", document, link[2], to)
			}
		}
	}
}

func headings(text string) map[string]bool {
	found := map[string]bool{}
	for heading := range all(`(?m)^#+ (.*)$`, text) {
		found[strings.ReplaceAll(strings.ToLower(heading), " ", "-")] = true
	}
	return found
}

func TestMakeTargetsInDocumentsExist(t *testing.T) {
	t.Parallel()
	targets := all(`(?m)^([a-z-]+):`, join(read(t, "Makefile")))
	for target := range all("(?m)(?:^    |`)make ([a-z-]+)", join(documents(t))) {
		if !targets[target] {
			t.Errorf("make %s does not exist", target)
		}
	}
}

// TestSettingsInDocumentsExist compares the documents with the help texts. The
// command's own tests compare those with the command.
func TestSettingsInDocumentsExist(t *testing.T) {
	t.Parallel()
	help, text := join(read(t, "cmd/gavel/testdata/help/*.txt")), join(documents(t))
	flags := all(`(--[a-z][a-z-]*)`, help)
	foreign := map[string]bool{"--build": true, "--last-for": true} // docker's, nats's
	for flag := range all(`(?:^|[\s`+"`"+`"])(--[a-z][a-z-]*)`, text) {
		if !flags[flag] && !foreign[flag] {
			t.Errorf("flag %s does not exist", flag)
		}
	}
	variables := all(`\$(GAVEL_[A-Z_]+)`, help)
	buckets := all(`"(GAVEL_[A-Z_]+)"`, join(read(t, "internal/bus/names.go")))
	for name := range all(`\b(GAVEL_[A-Z_]+)\b`, text) {
		if !variables[name] && !buckets[name] {
			t.Errorf("%s is neither a variable nor a stream", name)
		}
	}
	same(t, "table of settings", variables, all("`(GAVEL_[A-Z_]+)` \\|", join(read(t, "docs/operations.md"))))
}

func TestEveryKindOfEventIsDocumented(t *testing.T) {
	t.Parallel()
	kinds := all(`\bKind += "([a-z-]+)"`, join(read(t, "events/*.go")))
	for status := range all(`pRecordingStatus: .*\[\]string\{\s*([^}]*)\}`, join(read(t, "events/parameter.go"))) {
		for name := range all(`"([a-z-]+)"`, status) {
			kinds["recording-"+name] = true
		}
	}
	same(t, "docs/events.md", kinds, all("(?m)^\\| `([a-z-]+)` \\|", join(read(t, "docs/events.md"))))
}

func TestTheGlossaryIsShort(t *testing.T) {
	t.Parallel()
	entries := all(`(?m)^\| ([^|]+) \|`, join(read(t, "docs/glossary.md")))
	delete(entries, "word")
	if len(entries) > 40 {
		t.Errorf("docs/glossary.md has %d entries", len(entries))
	}
}

func TestEveryMetricIsInOperations(t *testing.T) {
	t.Parallel()
	code := map[string]string{}
	for path, text := range read(t, "app/*.go", "handlers/*/*.go", "internal/brakes/*.go", "internal/bus/*.go", "internal/keys/*.go", "internal/rulebook/*.go", "internal/twilio/*.go") {
		if !strings.HasSuffix(path, "_test.go") {
			code[path] = text
		}
	}
	operations := join(read(t, "docs/operations.md"))
	metrics := all(`"(gavel_[a-z_]+)"`, join(code))
	same(t, "table of metrics", metrics, all("(?m)^\\| `(gavel_[a-z_]+)` \\|", operations))
	for name := range all(`[^-\w](gavel_[a-z_]+)\b`, join(documents(t))) {
		if !metrics[name] {
			t.Errorf("metric %s does not exist", name)
		}
	}
}

// TestLimitsInDocumentsAreTheConstants compares the table of limits with the
// constants that its last column names.
func TestLimitsInDocumentsAreTheConstants(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(join(read(t, "docs/architecture.md")), "\n## Limits\n")
	compared := 0
	for row := range all(`(?m)^\| ([^|]+\|[^|]+\|[^|]+\.go[^|]+) \|$`, table) {
		cells := strings.Split(row, " | ")
		for _, named := range regexp.MustCompile("`([a-z/]+)/[a-z]+\\.go`((?: `\\w+`)+)").FindAllStringSubmatch(cells[2], -1) {
			for name := range all("`(\\w+)`", named[2]) {
				texts := figures(t, constants(t, named[1]), name)
				if !regexp.MustCompile(`(?:^|[ ;])(?:` + strings.Join(texts, "|") + `)(?:$|[ ;,])`).MatchString(cells[1]) {
					t.Errorf("%s: the limit is %q, but %s in %s is %s", cells[0], cells[1], name, named[1], strings.Join(texts, " or "))
				}
				compared++
			}
		}
	}
	if compared < 30 {
		t.Errorf("only %d constants were compared", compared)
	}
}

// constants returns the expressions of a package's constants, by name.
func constants(t *testing.T, dir string) map[string]ast.Expr {
	t.Helper()
	found := map[string]ast.Expr{}
	for path, text := range read(t, dir+"/*.go") {
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			for i := 0; ok && i < min(len(spec.Names), len(spec.Values)); i++ {
				found[spec.Names[i].Name] = spec.Values[i]
			}
			return true
		})
	}
	return found
}

// figures returns the ways to write a constant: a duration with its unit, a
// number of bytes, or a number with commas.
func figures(t *testing.T, constants map[string]ast.Expr, name string) (texts []string) {
	t.Helper()
	if constants[name] == nil {
		t.Fatalf("constant %s does not exist", name)
	}
	value, isTime := evaluate(t, constants, constants[name])
	units := map[string]int64{"": 1, " KiB": 1 << 10, " MiB": 1 << 20}
	if isTime {
		units = map[string]int64{" ms": int64(time.Millisecond), " s": int64(time.Second), " min": int64(time.Minute), " h": int64(time.Hour)}
	}
	for _, unit := range slices.Sorted(maps.Keys(units)) {
		if count := value / units[unit]; value%units[unit] == 0 {
			text := strconv.FormatInt(count, 10)
			if count >= 1000 {
				text = strconv.FormatInt(count/1000, 10) + fmt.Sprintf(",%03d", count%1000)
			}
			texts = append(texts, text+unit)
		}
	}
	return texts
}

// evaluate returns the value of a constant, and whether it is a duration.
func evaluate(t *testing.T, constants map[string]ast.Expr, e ast.Expr) (value int64, isTime bool) {
	t.Helper()
	switch e := e.(type) {
	case *ast.BasicLit:
		value, err := strconv.ParseInt(e.Value, 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		return value, false
	case *ast.Ident:
		return evaluate(t, constants, constants[e.Name])
	case *ast.SelectorExpr: // time.Second
		units := map[string]time.Duration{"Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute, "Hour": time.Hour}
		return int64(units[e.Sel.Name]), true
	case *ast.BinaryExpr:
		left, leftIsTime := evaluate(t, constants, e.X)
		right, rightIsTime := evaluate(t, constants, e.Y)
		results := map[token.Token]int64{token.ADD: left + right, token.SUB: left - right, token.MUL: left * right}
		if e.Op == token.SHL {
			return left << right, false
		}
		return results[e.Op], leftIsTime || rightIsTime
	}
	t.Fatalf("cannot evaluate %T", e)
	return 0, false
}

func TestReadmeFitsOneScreen(t *testing.T) {
	t.Parallel()
	if lines := strings.Count(join(read(t, "README.md")), "\n"); lines > 70 {
		t.Errorf("README.md has %d lines", lines)
	}
}

func TestDecisionsAreIndexedAndDecided(t *testing.T) {
	t.Parallel()
	index := all(`\]\((\d{4}-[a-z0-9-]+\.md)\)`, join(read(t, "docs/adr/README.md")))
	pages := map[string]bool{}
	for path, text := range read(t, "docs/adr/[0-9]*.md") {
		pages[filepath.Base(path)] = true
		if _, decision, _ := strings.Cut(text, "**Decision.**"); len(strings.Fields(decision)) < 5 {
			t.Errorf("%s decides nothing", path)
		}
	}
	same(t, "index of decisions", pages, index)
}

// workshop is the directory of the binary while the tests run.
var workshop string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if workshop, err = os.MkdirTemp("", "gavel-docs-"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(workshop)
		return m.Run()
	}())
}

// binary is built once for the tests that run it.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(workshop, "gavel")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "./cmd/gavel")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the Makefile builds it
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the command: %w\n%s", err, out)
	}
	return path, nil
})

// account is the account that examples use.
var account = []string{"TWILIO_ACCOUNT_SID=AC" + strings.Repeat("0", 32), "TWILIO_AUTH_TOKEN=token"}

// TestSettingsFilesAreRight reads each file together with one wrong flag: Gavel reports all faults
// at once and starts nothing, so that flag has to be the only fault.
func TestSettingsFilesAreRight(t *testing.T) {
	t.Parallel()
	files := read(t, "deployments/gavel.yaml")
	for example := range all("(?s)```yaml\n(.*?)```", join(read(t, "docs/operations.md"))) {
		files["docs/operations.md"] = example
	}
	if len(files) != 2 {
		t.Fatalf("%d files", len(files))
	}
	for name, text := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "gavel.yaml")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			command := program(t, "serve", "--config", path, "--nats", "nats://nats:4222", "--keep", "nonsense")
			for variable := range all(`\$\{([A-Z_]+)\}`, text) {
				command.Env = append(command.Env, variable+"=secret")
			}
			out, err := command.CombinedOutput()
			want := "gavel: settings:\n--keep: \"nonsense\" is not an age; write 30d, 13 months or 72h\n"
			if err == nil || string(out) != want {
				t.Errorf("gavel said %v:\n%s", err, out)
			}
		})
	}
}

func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), path, args...)
	command.Env = slices.Concat([]string{"PATH=" + os.Getenv("PATH")}, account)
	return command
}

func TestTheExampleCallIsOneConference(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var record *projections.Conference
	told := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		form, _ := io.ReadAll(r.Body)
		e, err := events.Parse(events.Entry{Source: events.SourceCallback, ReceivedAt: time.Now(), Form: string(form)})
		if err == nil {
			record, _, err = projections.Fold(record, &e)
		}
		if err != nil {
			t.Errorf("%s: %v", form, err)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(told.Close)
	command := exec.CommandContext(t.Context(), "sh", "examples/call.sh", "support-7")
	gavel := program(t)
	command.Env = append(gavel.Env, "GAVEL="+gavel.Path, "TO="+told.URL)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	mu.Lock()
	defer mu.Unlock()
	if record.Status() != projections.StatusCompleted || record.FriendlyName.Value != "support-7" ||
		record.End.Label != "agent-ana" || len(record.Participants) != 2 || len(record.Recordings) != 1 {
		t.Errorf("the call is folded to %+v", record)
	}
}
