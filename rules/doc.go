// Package rules is what rules are and what they decide. Judge is pure: it reads
// no clock, no network and no store, and what it decides is data for somebody
// else to perform.
//
// Reading order: rule.go (what a rule is), parse.go, build.go and step.go (from
// files to rules; the form of files is in package schema, the language of
// conditions in package condition); judge.go with judge_look.go, judge_climb.go,
// judge_event.go, judge_load.go and judge_count.go, over state.go and decision.go.
// Package lanes calls Judge, package rulestest runs the test files of rules.
package rules
