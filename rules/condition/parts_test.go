package condition

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gavel/projections"
)

// White box, like the test of the tables: every field or function whose value
// changes with an event depends on a part that the event changed.
func TestAChangedValueDependsOnAChangedPart(t *testing.T) {
	t.Parallel()
	seen := Parts(0)
	rapid.Check(t, func(t *rapid.T) {
		var record *projections.Conference
		for i := range rapid.IntRange(1, 60).Draw(t, "events") {
			e := randomEvent(t, i)
			after, _, err := projections.Fold(record, e)
			if err != nil {
				t.Fatal(err)
			}
			changed, before := Changed(record, after), values(record)
			for name, value := range values(after) {
				if before[name] != value && changed&partsNamed(name) == 0 {
					t.Fatalf("%s changed with %s, but only the parts %b changed:\n%s\n%s", name, e.Kind, changed, before[name], value)
				}
			}
			if changed != AllParts {
				seen |= changed
			}
			record = after
		}
	})
	if seen != AllParts {
		t.Errorf("only the parts %b changed on their own", seen)
	}
}

// partsNamed returns the parts of a field, or of a function that values lists by its overload.
func partsNamed(name string) Parts {
	for _, f := range functions {
		if f.overload() == name {
			return f.parts
		}
	}
	of, field, _ := strings.Cut(name, ".")
	return findField(of, field).parts
}

func TestEveryFieldAndFunctionNamesItsParts(t *testing.T) {
	t.Parallel()
	for typeName, all := range fields {
		for _, f := range all {
			if f.parts == 0 {
				t.Errorf("%s.%s names no parts", typeName, f.name)
			}
		}
	}
	for _, f := range functions {
		if ofArguments := f.name == "like"; (f.parts == 0) != ofArguments || (f.changedBy == nil) != ofArguments {
			t.Errorf("%s names parts %b and events %v", f.usage, f.parts, f.changedBy)
		}
	}
}
