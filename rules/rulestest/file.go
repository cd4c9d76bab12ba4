// Package rulestest plays tests of rule files: timelines of callbacks, and the
// decisions that are expected of them. It steps the state machine of the lanes,
// so that a test decides as a projector does, and does in virtual time what else
// a running Gavel would: alarms wake, matches are counted, and decisions end.
package rulestest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"gavel/events"
	"gavel/rules"
)

// File is a file of tests for rule files: timelines of callbacks, and the
// decisions that are expected of them.
type File struct {
	// Name is the file's own, for messages.
	Name string `yaml:"-"`
	// Rules are the rule files under test, from where the test file lies.
	Rules []string   `yaml:"rules"`
	Tests []Timeline `yaml:"tests"`
}

// Timeline is one test. Its clock is virtual, and every step that is taken
// ends done at once, unless Outcomes say otherwise.
type Timeline struct {
	Name string `yaml:"name"`
	// Start is the time at which the timeline begins, for quiet hours.
	Start time.Time `yaml:"start"`
	// Until is where the test ends, from its start. Without it, it ends when
	// nothing is armed any more.
	Until time.Duration `yaml:"until"`
	// Outcomes say how steps end; the first that fits counts.
	Outcomes []StepResult `yaml:"outcomes"`
	Timeline []Entry      `yaml:"timeline"`
	// Expect are all decisions, no more and no less.
	Expect []Expectation `yaml:"expect"`

	line int
}

// StepResult is how a step ends. Empty fields fit every step.
type StepResult struct {
	Rule string         `yaml:"rule"`
	Do   rules.StepKind `yaml:"do"`
	// Result is "done" if empty, or how it fails; NoAnswer never comes.
	Result events.Result `yaml:"result"`
	// After is how long it takes.
	After time.Duration `yaml:"after"`
}

// NoAnswer in a test is a step of which no outcome is ever heard.
const NoAnswer events.Result = "none"

// Entry is one entry of the journal: a callback in short form, or one of
// Exempt, Reread and Load.
type Entry struct {
	// At is when it is received, from the start of the timeline.
	At time.Duration `yaml:"at"`
	// Conference is the room's name; "room" if empty. Rooms are apart.
	Conference string `yaml:"conference"`

	Event events.Kind `yaml:"event"`
	// Label names the participant; Leg tells two with one label apart.
	Label string `yaml:"label"`
	Leg   string `yaml:"leg"`
	// Happened is Twilio's Timestamp, from the start; At if not given.
	// Sequence is Twilio's SequenceNumber; the next free one if not given.
	Happened *time.Duration `yaml:"happened"`
	Sequence *int64         `yaml:"sequence"`
	// Reason is ReasonParticipantLeft or ReasonConferenceEnded.
	Reason string `yaml:"reason"`
	// The participant's flags, from here on. Start is true until told.
	Start     *bool `yaml:"start"`
	EndOnExit *bool `yaml:"end_on_exit"`
	Hold      *bool `yaml:"hold"`
	Muted     *bool `yaml:"muted"`
	Coaching  *bool `yaml:"coaching"`
	// Params are further parameters of the callback.
	Params map[string]string `yaml:"params"`

	// Exempt keeps rules off the conference, as a person can.
	Exempt *ExemptEntry `yaml:"exempt"`
	// Reread ends a re-read of Twilio, which found nothing new.
	Reread bool `yaml:"reread"`
	// Load puts other rule files in the place of those under test.
	Load []string `yaml:"load"`

	line int
}

// ExemptEntry is a person's word.
type ExemptEntry struct {
	For  time.Duration `yaml:"for"`
	Rule string        `yaml:"rule"`
}

// Expectation is one decision, as far as it is described: what is left empty is
// not compared. A verdict that is left empty is "act" or "would", so that tests
// go on to pass when a rule goes live.
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

// UnmarshalYAML reads a test and where it stands.
func (t *Timeline) UnmarshalYAML(node ast.Node) error {
	type plain Timeline
	t.line = lineOf(node)
	return located(t.line, yaml.NodeToValue(node, (*plain)(t), yaml.Strict()))
}

// UnmarshalYAML reads an entry and where it stands.
func (e *Entry) UnmarshalYAML(node ast.Node) error {
	type plain Entry
	e.line = lineOf(node)
	return located(e.line, yaml.NodeToValue(node, (*plain)(e), yaml.Strict()))
}

// UnmarshalYAML reads an expectation and where it stands.
func (x *Expectation) UnmarshalYAML(node ast.Node) error {
	type plain Expectation
	x.line = lineOf(node)
	return located(x.line, yaml.NodeToValue(node, (*plain)(x), yaml.Strict()))
}

func lineOf(node ast.Node) int { return node.GetToken().Position.Line }

// lineError is a fault of a line where YAML's own says none.
type lineError struct {
	line int
	error
}

func (e lineError) Unwrap() error { return e.error }

// located gives a line to an error that has none.
func located(line int, err error) error {
	if known := yaml.Error(nil); err == nil || errors.As(err, &known) || errors.As(err, new(lineError)) {
		return err
	}
	return lineError{line, err}
}

// Parse reads a test file. Errors name file and line.
func Parse(name string, text []byte) (*File, error) {
	f := &File{Name: name}
	if err := f.decode(text); err != nil {
		return nil, testError(name, err)
	}
	if len(f.Rules) == 0 || len(f.Tests) == 0 {
		return nil, fmt.Errorf("%s: a test file has rules, which are files, and tests", name)
	}
	for i := range f.Tests {
		if err := f.Tests[i].check(); err != nil {
			return nil, fmt.Errorf("%s:%w", name, err)
		}
	}
	return f, nil
}

// decode reads YAML strictly. go-yaml 1.19 panics on some texts that are none,
// such as a tag without a value.
func (f *File) decode(text []byte) (err error) {
	defer func() {
		if recover() != nil {
			err = errNoYAML
		}
	}()
	return yaml.UnmarshalWithOptions(text, f, yaml.Strict())
}

var errNoYAML = errors.New("this is no YAML")

// testError says where the fault is, in one line.
func testError(name string, err error) error {
	if known := yaml.Error(nil); errors.As(err, &known) && known.GetToken() != nil {
		message := known.GetMessage()
		if errors.As(err, new(*yaml.TypeError)) {
			message = "another kind of value has to stand here; times have a unit, like 5s"
		}
		return fmt.Errorf("%s:%d: %s", name, known.GetToken().Position.Line, message)
	}
	if known := (lineError{}); errors.As(err, &known) {
		return fmt.Errorf("%s:%d: %w", name, known.line, known.error)
	}
	return fmt.Errorf("%s: %w", name, err)
}

func (t *Timeline) check() error {
	if t.Name == "" {
		return fmt.Errorf("%d: a test has a name", t.line)
	}
	for i := range t.Timeline {
		if err := t.Timeline[i].check(); err != nil {
			return err
		}
	}
	for _, x := range t.Expect {
		if x.Rule == "" {
			return fmt.Errorf("%d: an expectation names its rule", x.line)
		}
	}
	return nil
}

// check holds that an entry is one thing.
func (e *Entry) check() error {
	things := 0
	for _, is := range []bool{e.Event != "", e.Exempt != nil, e.Reread, len(e.Load) > 0} {
		if is {
			things++
		}
	}
	if things != 1 {
		return fmt.Errorf("%d: an entry is one of event, exempt, reread and load", e.line)
	}
	if strings.HasPrefix(string(e.Event), "participant-") && e.Leg+e.Label == "" {
		return fmt.Errorf("%d: %s names its participant by label or leg", e.line, e.Event)
	}
	return nil
}
