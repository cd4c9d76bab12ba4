package condition_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/rules/condition"
)

var update = flag.Bool("update", false, "rewrite the reference in docs/rules.md")

const (
	page  = "../../docs/rules.md"
	begin = "<!-- reference of conditions: go test ./rules/condition -update -->\n"
	end   = "<!-- end of the reference of conditions -->\n"
)

func TestTheReferencePageMatchesTheTables(t *testing.T) {
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
		if err := os.WriteFile(page, []byte(before+begin+condition.Reference()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(condition.Reference(), written); diff != "" {
		t.Errorf("go test ./rules/condition -update (-tables +page):\n%s", diff)
	}
}

// Every example on the page is a condition that holds for the call that the
// page describes; the examples of now are parameters whose text is true.
func TestExamplesOnTheReferencePageAreTrue(t *testing.T) {
	t.Parallel()
	vars := sample(t)
	for name, text := range condition.Truths() {
		x, faults := condition.CompileValue(text)
		if faults != nil {
			t.Errorf("%s: %s: %v", name, text, faults)
			continue
		}
		if got, err := x.Text(vars); err != nil || got != "true" {
			t.Errorf("%s: %s: %q, %v", name, text, got, err)
		}
	}
}

// The example of an elapsed-time function must be allowed in a condition.
func TestExamplesOnTheReferencePageAreConditions(t *testing.T) {
	t.Parallel()
	for name, text := range condition.Truths() {
		if name == "now" {
			continue
		}
		if _, faults := condition.Compile(text); faults != nil {
			t.Errorf("%s: %s: %v", name, text, faults)
		}
	}
}
