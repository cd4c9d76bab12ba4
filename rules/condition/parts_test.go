package condition

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gavel/projections"
)

// White box, like the test of the tables beside: whatever a field or function
// says otherwise after an event is in a part that the event changed.
func TestWhatChangesIsInAChangedPart(t *testing.T) {
	t.Parallel()
	seen := Parts(0)
	rapid.Check(t, func(t *rapid.T) {
		var record *projections.Conference
		for i := range rapid.IntRange(1, 60).Draw(t, "events") {
			e := wildEvent(t, i)
			after, _, err := projections.Fold(record, e)
			if err != nil {
				t.Fatal(err)
			}
			changed, before := Changed(record, after), says(record)
			for name, says := range says(after) {
				if before[name] != says && changed&partsFor(partName(name)) == 0 {
					t.Fatalf("%s changed with %s, and of the parts only %b did:\n%s\n%s", name, e.Kind, changed, before[name], says)
				}
			}
			if changed != AllParts {
				seen |= changed
			}
			record = after
		}
	})
	if seen != AllParts {
		t.Errorf("only the parts %b ever changed apart from others", seen)
	}
}

// partName is how the table of parts calls what says calls by its overload.
func partName(name string) string {
	for _, f := range functions {
		if f.overload() == name {
			return f.name
		}
	}
	return name
}

func TestTheTableOfPartsKnowsEverything(t *testing.T) {
	t.Parallel()
	for typeName, all := range fields {
		for _, f := range all {
			if _, there := partsOf[typeName+"."+f.name]; !there && (typeName == "Conference" || typeName == "Participant") {
				t.Errorf("%s.%s is missing", typeName, f.name)
			}
		}
	}
	for name := range partsOf {
		of, field, isField := strings.Cut(name, ".")
		if isField && findField(of, field) == nil {
			t.Errorf("%s does not exist", name)
		}
	}
}
