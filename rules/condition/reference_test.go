package condition_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/rules/condition"
)

var update = flag.Bool("update", false, "write the reference in docs/rules.md anew")

const (
	page  = "../../docs/rules.md"
	begin = "<!-- reference of conditions: go test ./rules/condition -update -->\n"
	end   = "<!-- end of the reference of conditions -->\n"
)

func TestThePageOfReferenceSaysWhatTheTablesSay(t *testing.T) {
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
// page tells; those about now are parameters, and say true.
func TestExamplesOnThePageAreTrue(t *testing.T) {
	t.Parallel()
	vars := sample(t)
	for name, text := range condition.Truths() {
		x, faults := condition.CompileValue(text)
		if faults != nil {
			t.Errorf("%s: %s: %v", name, text, faults)
			continue
		}
		if said, err := x.Text(vars); err != nil || said != "true" {
			t.Errorf("%s: %s: %q, %v", name, text, said, err)
		}
	}
}

// An example of an elapsed-time function has to be one that a condition may
// use.
func TestExamplesOnThePageAreConditions(t *testing.T) {
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
