package condition

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
)

// The reference page is generated from the tables here, because both they and
// the tests are visible here.

// Truths returns all examples of the page. They are true for the call that sample returns.
func Truths() map[string]string {
	all := map[string]string{}
	for _, v := range variables {
		all[v.name] = v.example
	}
	for of, rows := range fields {
		for _, f := range rows {
			all[of+"."+f.name] = f.example
		}
	}
	for _, f := range functions {
		all[f.usage] = f.example
	}
	return all
}

// Reference returns the part of docs/rules.md about conditions, in Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString("\n### Variables\n\n| variable | type | what it is | example |\n|---|---|---|---|\n")
	for _, v := range variables {
		row(&b, "`"+v.name+"`", typeName(v.typ), v.doc, code(v.example))
	}
	for _, of := range []string{"Conference", "Participant", "Recording", "Action", "Actor", "Event"} {
		fmt.Fprintf(&b, "\n### %s\n\n| field | type | what it is | example |\n|---|---|---|---|\n", of)
		for _, f := range fields[of] {
			row(&b, "`"+f.name+"`", typeName(f.typ), f.doc, code(f.example))
		}
	}
	b.WriteString("\n### Functions\n\n| function | type | what it is | example |\n|---|---|---|---|\n")
	for _, f := range functions {
		row(&b, code(f.usage), typeName(f.result), f.doc, code(f.example))
	}
	b.WriteString("\n")
	return b.String()
}

func row(b *strings.Builder, cells ...string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// typeName returns CEL's own name of a type.
func typeName(t *cel.Type) string { return cel.FormatCELType(t) }

func code(text string) string { return "`" + strings.ReplaceAll(text, "|", `\|`) + "`" }

// Unsplit returns the condition as if its parts about the event could not be told from the rest.
func Unsplit(c *Condition) *Condition {
	whole := *c
	whole.past, whole.rest = nil, nil
	return &whole
}

// Unshared returns the condition as if it had no parts that are shared over participants.
func Unshared(c *Condition) *Condition {
	whole := *c
	whole.sharing, whole.repeats = sharing{program: c.program}, false
	return &whole
}
