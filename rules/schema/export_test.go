package schema

import (
	"fmt"
	"strings"
)

// Reference returns the part of docs/rules.md about files, in Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString("\n")
	section(&b, "The file", fileShape)
	section(&b, "exempt", exemptShape)
	section(&b, "quiet_hours", quietHoursShape)
	section(&b, "A rule", ruleShape)
	section(&b, "limits", ruleShape.key("limits").shape)
	section(&b, "count", ruleShape.key("count").shape)
	section(&b, "A step", stepShape)
	for _, k := range stepShape.keys {
		if k.shape.kind == object && len(k.shape.keys) > 1 { // a target alone is described once, with announce
			section(&b, k.name, k.shape)
		}
	}
	return b.String()
}

func section(b *strings.Builder, title string, s *shape) {
	fmt.Fprintf(b, "### %s\n\n| key | value | what it means |\n|---|---|---|\n", title)
	for _, k := range s.keys {
		name := "`" + k.name + "`"
		if k.required {
			name += " (required)"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", name, valueOf(k.shape), k.shape.doc)
	}
	b.WriteString("\n")
}

// valueOf describes the values of a key, in a few words.
func valueOf(s *shape) string {
	switch {
	case s.kind == list && s.items.values != nil:
		return "a list of kinds of events"
	case s.values != nil:
		return "`" + strings.Join(s.values, "`, `") + "`"
	case s.kind == number:
		return "a whole number, " + s.bounds()
	case s.kind == length:
		return "a duration"
	case s.kind == object && len(s.keys) == 0:
		return "`{}`"
	case s.kind == object:
		return "keys with values"
	}
	return s.kind.String()
}
