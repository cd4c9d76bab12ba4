// Package rulestest runs tests of rule files: timelines of callbacks, and the
// decisions that are expected of them. It steps the state machine of the lanes,
// so that a test decides as a projector does. In virtual time it does the rest
// of what Gavel does: alarms ring, matches are counted, and decisions end.
package rulestest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"gavel/events"
	"gavel/internal/plainyaml"
	"gavel/rules"
)

// File is a file of tests of rule files: timelines of callbacks, and the
// decisions that are expected of them.
type File struct {
	// Name is the file's name, for messages.
	Name string `yaml:"-"`
	// Rules are the rule files under test, relative to the test file.
	Rules []string   `yaml:"rules"`
	Tests []Timeline `yaml:"tests"`
}

// Timeline is one test. Its clock is virtual, and every step that is decided
// ends done at once, unless Outcomes define otherwise.
type Timeline struct {
	Name string `yaml:"name"`
	// Start is the time when the timeline begins, for quiet hours.
	Start time.Time `yaml:"start"`
	// Until is when the test ends, counted from its start. If it is zero, the
	// test ends when no deadline is armed any more.
	Until time.Duration `yaml:"until"`
	// Outcomes define how steps end; the first that matches counts.
	Outcomes []StepResult `yaml:"outcomes"`
	Timeline []Entry      `yaml:"timeline"`
	// Expect are all decisions, no more and no less.
	Expect []Expectation `yaml:"expect"`
	// Faults are all expressions that cannot be evaluated in the timeline, each once.
	Faults []FaultExpectation `yaml:"faults"`

	line int
}

// FaultExpectation is an expression without a value.
type FaultExpectation struct {
	Rule string `yaml:"rule"`
	// In is the expression's place in the rule, as in rules.ExpressionFault, such as "when".
	In string `yaml:"in"`
}

// StepResult is how a step ends. Empty fields match every step.
type StepResult struct {
	Rule string         `yaml:"rule"`
	Do   rules.StepKind `yaml:"do"`
	// Result is "done" if empty, or how it fails; NoAnswer means never.
	Result events.Result `yaml:"result"`
	// After is how long the step takes.
	After time.Duration `yaml:"after"`
}

// NoAnswer in a test is the result of a step whose outcome never arrives.
const NoAnswer events.Result = "none"

// Entry is one entry of the journal: a callback in short form, or one of Exempt, Reread, Load and Action.
type Entry struct {
	// At is when it is received, from the start of the timeline.
	At time.Duration `yaml:"at"`
	// Conference is the room's name; "room" if empty. Each room is a conference of its own.
	Conference string `yaml:"conference"`

	Event events.Kind `yaml:"event"`
	// Label names the participant; Leg distinguishes two with the same label.
	Label string `yaml:"label"`
	Leg   string `yaml:"leg"`
	// Happened is Twilio's Timestamp, from the start; At if omitted. Sequence
	// is Twilio's SequenceNumber; the next free one if omitted.
	Happened *time.Duration `yaml:"happened"`
	Sequence *int64         `yaml:"sequence"`
	// Reason is ReasonParticipantLeft or ReasonConferenceEnded.
	Reason string `yaml:"reason"`
	// The participant's flags, from here on. Start is true until set.
	Start     *bool `yaml:"start"`
	EndOnExit *bool `yaml:"end_on_exit"`
	Hold      *bool `yaml:"hold"`
	Muted     *bool `yaml:"muted"`
	Coaching  *bool `yaml:"coaching"`
	// Params are further parameters of the callback.
	Params map[string]string `yaml:"params"`

	// Exempt exempts the conference, as an operator can.
	Exempt *ExemptEntry `yaml:"exempt"`
	// Reread ends a re-read of Twilio that found nothing new.
	Reread bool `yaml:"reread"`
	// Load replaces the rule files under test with others.
	Load []string `yaml:"load"`
	// Action is what a client did through Gavel; Label and Leg name its participant.
	Action *ActionEntry `yaml:"action"`

	line int
}

// ActionEntry is a request of a client of Gavel's API, and its result.
type ActionEntry struct {
	Do events.Do `yaml:"do"`
	// By is the name of the client's API key. Result is "done" if empty.
	By     string        `yaml:"by"`
	Result events.Result `yaml:"result"`
}

// ExemptEntry is an operator's exemption of a conference.
type ExemptEntry struct {
	For  time.Duration `yaml:"for"`
	Rule string        `yaml:"rule"`
}

// Expectation is one decision, as far as it is described: empty fields are not compared. An empty
// verdict matches "act" and "would", so that tests still pass when a rule goes live.
type Expectation struct {
	At         time.Duration     `yaml:"at"`
	Rule       string            `yaml:"rule"`
	Do         rules.StepKind    `yaml:"do"`
	Conference string            `yaml:"conference"`
	Label      string            `yaml:"label"`
	Verdict    rules.Verdict     `yaml:"verdict"`
	Reason     rules.Reason      `yaml:"reason"`
	Attempt    int               `yaml:"attempt"`
	Params     map[string]string `yaml:"params"`

	line int
}

// UnmarshalYAML decodes a test and its line.
func (t *Timeline) UnmarshalYAML(node ast.Node) error {
	type plain Timeline
	t.line = lineOf(node)
	return located(t.line, yaml.NodeToValue(node, (*plain)(t), yaml.Strict()))
}

// UnmarshalYAML decodes an entry and its line.
func (e *Entry) UnmarshalYAML(node ast.Node) error {
	type plain Entry
	e.line = lineOf(node)
	return located(e.line, yaml.NodeToValue(node, (*plain)(e), yaml.Strict()))
}

// UnmarshalYAML decodes an expectation and its line.
func (x *Expectation) UnmarshalYAML(node ast.Node) error {
	type plain Expectation
	x.line = lineOf(node)
	return located(x.line, yaml.NodeToValue(node, (*plain)(x), yaml.Strict()))
}

func lineOf(node ast.Node) int { return node.GetToken().Position.Line }

// lineError adds a line to an error that has none.
type lineError struct {
	line int
	error
}

func (e lineError) Unwrap() error { return e.error }

// located adds a line to an error that has none.
func located(line int, err error) error {
	if known := yaml.Error(nil); err == nil || errors.As(err, &known) || errors.As(err, new(lineError)) {
		return err
	}
	return lineError{line, err}
}

// Parse parses a test file. Errors name file and line.
func Parse(name string, text []byte) (*File, error) {
	f := &File{Name: name}
	if err := plainyaml.Decode(text, f); err != nil {
		return nil, testError(name, err)
	}
	if len(f.Rules) == 0 || len(f.Tests) == 0 {
		return nil, fmt.Errorf("%s: a test file needs rules, which are files, and tests", name)
	}
	for i := range f.Tests {
		if err := f.Tests[i].check(); err != nil {
			return nil, fmt.Errorf("%s:%w", name, err)
		}
	}
	return f, nil
}

const wrongKind = "wrong kind of value; durations need a unit, like 5s"

// testError formats an error in one line, with its place.
func testError(name string, err error) error {
	if known := yaml.Error(nil); errors.As(err, &known) && known.GetToken() != nil {
		message := known.GetMessage()
		if errors.As(err, new(*yaml.TypeError)) {
			message = wrongKind
		}
		return fmt.Errorf("%s:%d: %s", name, known.GetToken().Position.Line, message)
	}
	if known := (lineError{}); errors.As(err, &known) {
		if strings.Contains(known.Error(), "missing unit in duration") { // of package time
			return fmt.Errorf("%s:%d: %s", name, known.line, wrongKind)
		}
		return fmt.Errorf("%s:%d: %w", name, known.line, known.error)
	}
	return fmt.Errorf("%s: %w", name, err)
}

func (t *Timeline) check() error {
	if t.Name == "" {
		return fmt.Errorf("%d: a test needs a name", t.line)
	}
	for i := range t.Timeline {
		if err := t.Timeline[i].check(); err != nil {
			return err
		}
	}
	for _, x := range t.Expect {
		if x.Rule == "" {
			return fmt.Errorf("%d: an expectation needs a rule", x.line)
		}
	}
	for _, x := range t.Faults {
		if x.Rule == "" || x.In == "" {
			return fmt.Errorf("%d: a fault needs rule and in, such as {rule: long-hold, in: when}", t.line)
		}
	}
	return nil
}

// check returns an error unless an entry is exactly one thing.
func (e *Entry) check() error {
	things := 0
	for _, is := range []bool{e.Event != "", e.Exempt != nil, e.Reread, len(e.Load) > 0, e.Action != nil} {
		if is {
			things++
		}
	}
	if things != 1 {
		return fmt.Errorf("%d: an entry must be exactly one of event, exempt, reread, load and action", e.line)
	}
	if strings.HasPrefix(string(e.Event), "participant-") && e.Leg+e.Label == "" {
		return fmt.Errorf("%d: %s needs a participant, by label or leg", e.line, e.Event)
	}
	return nil
}
