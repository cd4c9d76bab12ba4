// Package rules defines rules and decides by them. Judge is pure: it reads no
// clock, network or store, and returns its decisions as data for a performer.
//
// A new check of rule files adds its faults with schema.Document.FaultSince and the next engine. It
// then refuses proposals, and a set in force that it would refuse stays in force with a warning.
//
// Reading order: rule.go (what a rule is); parse.go, build.go and step.go (from files to rules;
// package schema has the form of files, package condition the language of conditions); judge.go
// with judge_subject.go, judge_ladder.go, judge_event.go, judge_load.go and judge_count.go, over
// state.go and decision.go. Package lanes calls Judge, and package rulestest runs the tests of rule
// files.
package rules
