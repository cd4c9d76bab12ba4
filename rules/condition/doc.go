// Package condition is the language of rules: CEL over a conference as it is
// recorded, with the functions that call centres ask for. It is the only
// package that imports cel-go.
//
// Reading order: vars.go (what a condition can read), fields.go and
// functions.go (the tables that say so, each with its example), environment.go
// (the tables as CEL), reading.go and object.go (the record as CEL sees
// it), condition.go and expression.go (compile and evaluate), examine.go (what
// is read, and what is refused at load), kinds.go (sets of kinds of events).
//
// docs/rules.md is made of the tables by reference_test.go, which runs every
// example.
package condition
