// Package condition is the language of rules: CEL over the record of a conference, with the
// functions that call centres need. It is the only package that imports cel-go.
//
// Reading order: vars.go (what a condition can read), fields.go and functions.go (the tables of
// fields and functions, each with an example), environment.go (the tables as CEL declarations),
// reading.go and object.go (the record as CEL values), condition.go and expression.go (compile and
// evaluate), examine.go (what an expression reads, and what is refused at load), recall.go
// (evaluate again after the event), kinds.go and parts.go (sets of kinds of events and of parts of
// the record).
//
// reference_test.go generates the tables in docs/rules.md, and runs every example.
package condition
