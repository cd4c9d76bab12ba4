package schema_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"gavel/rules/schema"
)

var update = flag.Bool("update", false, "rewrite rules.schema.json and the reference in docs/rules.md")

// The published file is for editors; `gavel rules check --schema` prints the same.
func TestThePublishedSchemaMatchesTheParser(t *testing.T) {
	t.Parallel()
	if *update {
		if err := os.WriteFile("rules.schema.json", schema.JSON(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	published, err := os.ReadFile("rules.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(published), string(schema.JSON())); diff != "" {
		t.Errorf("go test ./rules/schema -update (-published +parser's):\n%s", diff)
	}
}

const (
	page  = "../../docs/rules.md"
	begin = "<!-- reference of files: go test ./rules/schema -update -->\n"
	end   = "<!-- end of the reference of files -->\n"
)

func TestTheReferencePageMatchesTheTable(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, began := strings.Cut(string(raw), begin)
	written, after, ended := strings.Cut(rest, end)
	if !began || !ended {
		t.Fatal("the page has no marks")
	}
	if *update {
		if err := os.WriteFile(page, []byte(before+begin+schema.Reference()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(schema.Reference(), written); diff != "" {
		t.Errorf("go test ./rules/schema -update (-table +page):\n%s", diff)
	}
}

// The parser and an independent validator of the schema agree on every line of
// testdata/values.txt: a rule with one key, and whether that is right.
func TestSchemaAndParserAgree(t *testing.T) {
	t.Parallel()
	compiled := compile(t)
	table, err := os.ReadFile("testdata/values.txt")
	if err != nil {
		t.Fatal(err)
	}
	right, wrong := 0, 0
	for line := range strings.Lines(string(table)) {
		verdict, text, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		want := verdict == "right"
		if want {
			right++
		} else {
			wrong++
		}
		text = file(text)
		if faults := schema.Read("rules.yaml", text).Faults; (faults == nil) != want {
			t.Errorf("the parser on %s: %v", text, faults)
		}
		if err := validate(t, compiled, text); (err == nil) != want {
			t.Errorf("the schema on %s: %v", text, err)
		}
	}
	if right < 30 || wrong < 30 {
		t.Errorf("%d right and %d wrong lines are too few", right, wrong)
	}
}

// file makes a whole file from a key of a rule, of a step, or of the file.
func file(text string) string {
	switch {
	case strings.HasPrefix(text, "- "):
		return "rules: [{name: r, when: 'true', do: [{" + strings.TrimPrefix(text, "- ") + "}]}]"
	case strings.HasPrefix(text, "/ "):
		return "rules: [{name: r, when: 'true', do: [{end: {}}]}]\n" + strings.TrimPrefix(text, "/ ")
	case strings.HasPrefix(text, "= "):
		return strings.TrimPrefix(text, "= ")
	}
	return "rules: [{name: r, when: 'true', do: [{end: {}}], " + text + "}]"
}

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("rules.schema.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("rules.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func validate(t *testing.T, compiled *jsonschema.Schema, text string) error {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return compiled.Validate(value)
}

// Users copy the presets, so they have to match the schema.
func TestThePresetsMatchTheSchema(t *testing.T) {
	t.Parallel()
	compiled := compile(t)
	paths, err := filepath.Glob("../../examples/rules/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.yaml") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, compiled, string(text)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
