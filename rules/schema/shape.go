package schema

import "gavel/rules/condition"

// shape is what one place of a rule file may contain. The parser and the schema
// for editors are both generated from shapes, so they cannot disagree.
type shape struct {
	kind shapeKind
	doc  string
	// keys are those of an object; it must have exactly one of oneOf.
	keys  []key
	oneOf []string
	// items are the shape of the items of a list or a table.
	items *shape
	// values are all texts that are allowed; pattern must match the whole text.
	values  []string
	pattern string
	// least and most bound a number, or the number of items of a list; most 0
	// means no bound of a list.
	least, most int64
}

// key is one key of an object.
type key struct {
	name     string
	shape    *shape
	required bool
}

// shapeKind is the kind of value of a shape.
type shapeKind int

const (
	object     shapeKind = iota // with fixed keys
	table                       // with keys that the author chooses
	list                        //
	word                        // a text
	number                      // a whole number
	length                      // a duration: 30s, 5m, 1h30m, 2d
	expression                  // CEL
	template                    // a text with CEL in ${...}, or a number or a boolean
	flag                        // true, false, or ${...}
)

// String describes the value that the file must have.
func (k shapeKind) String() string {
	return [...]string{
		object: "keys with values, or {}", table: "keys with values", list: "a list", word: "a text", number: "a whole number",
		length: "a duration, like 30s, 5m or 1h30m", expression: "an expression", template: "a text", flag: "true, false or ${...}",
	}[k]
}

func (s *shape) key(name string) *key {
	for i := range s.keys {
		if s.keys[i].name == name {
			return &s.keys[i]
		}
	}
	return nil
}

// Bounds of rule files. Those of rules are in package rules.
const (
	// maxFile bounds a file, in bytes.
	maxFile = 256 << 10
	// maxRules bounds the work for one event: each rule is judged for each
	// event that can change it.
	maxRules = 200
	// maxSteps bounds a ladder.
	maxSteps = 20
	// maxAttempts is the maximum number of attempts in one occasion.
	maxAttempts = 3
	// maxRate bounds per_minute, trip_after and at_least.
	maxRate = 1_000_000
)

// Patterns of words. Go and editors both use them, so they only contain what both interpret alike.
const (
	namePattern    = `[a-z0-9][a-z0-9-]{0,63}`
	accountPattern = `AC[0-9a-f]{32}`
	clockPattern   = `([01][0-9]|2[0-3]):[0-5][0-9]`
	lengthPattern  = `([0-9]{1,9}(d|h|m|s|ms))+`
	dataPattern    = `[A-Za-z_][A-Za-z0-9_]{0,63}`
	anyPattern     = `.+`
)

var fileShape = &shape{
	kind: object, doc: "A rule file of Gavel.",
	keys: []key{
		{"rules", &shape{kind: list, items: ruleShape, least: 1, most: maxRules, doc: "The rules."}, true},
		{"exempt", exemptShape, false},
		{"quiet_hours", quietHoursShape, false},
		{"accounts", listOf("AccountSids that the rules apply to; all accounts if omitted.", &shape{kind: word, pattern: accountPattern}), false},
		{"ceiling", params("Bounds the actions of all rules together, in each account.",
			key{"per_minute", rate("Actions in a minute."), true}), false},
	},
}

var exemptShape = params("What no rule touches. In patterns, * matches any characters.",
	key{"labels", patterns("Patterns of labels: of participants, and of conferences where one of those is live."), false},
	key{"names", patterns("Patterns of friendly names."), false})

var quietHoursShape = &shape{
	kind: object, doc: "A time of day when rules hold back.",
	keys: []key{
		{"tz", &shape{kind: word, pattern: anyPattern, doc: "Time zone, like Europe/Berlin."}, true},
		{"from", &shape{kind: word, pattern: clockPattern, doc: `Like "22:00", in quotes.`}, true},
		{"to", &shape{kind: word, pattern: clockPattern, doc: `Like "07:00", in quotes; before from: on the next day.`}, true},
		{"do", choice("hold (the default): wait until they end, within the action's deadline. shadow: do nothing.", "hold", "shadow"), false},
	},
}

var ruleShape = &shape{
	kind: object, doc: "A rule.",
	keys: []key{
		{"name", &shape{kind: word, pattern: namePattern, doc: "Lower-case letters, digits and hyphens; unique."}, true},
		{"description", &shape{kind: word, doc: "Why the rule exists."}, false},
		{"each", choice("What the rule is judged for, one at a time; conference if omitted.", "conference", "participant"), false},
		{"on", listOf("Kinds of events that may begin an occasion; if omitted, those that can change what the condition reads.",
			choice("", kindNames()...)), false},
		{"when", &shape{kind: expression, doc: "CEL: the condition."}, true},
		{"unless", &shape{kind: expression, doc: "CEL: if it holds, the rule does nothing."}, false},
		{"for", span("How long the condition has to hold before the first step."), false},
		{"do", &shape{kind: list, items: stepShape, least: 1, most: maxSteps, doc: "The steps, in order."}, true},
		{"mode", choice("off; shadow (the default): judge, but do nothing; or live.", "off", "shadow", "live"), false},
		{"limits", params("Brakes. The defaults for a rule that acts at Twilio are per_minute: 10 and trip_after: 50.",
			key{"per_minute", rate("Conferences (or participants, with each: participant) in a minute for which the rule acts; further actions for the same one within a minute do not count."), false},
			key{"trip_after", rate("Actions in a rolling hour, counted in the same way, after which the rule only reports what it would do, until an operator resets it."),
				false}), false},
		{"again", span("How long after an attempt that did not succeed the next one starts; the default is 15m for a rule that ends conferences."), false},
		{"attempts", &shape{kind: number, least: 1, most: maxAttempts, doc: "How many attempts there are in all; the default with again is 3."}, false},
		{"count", params("Counts matches over many conferences; such a rule only publishes or calls webhooks.",
			key{"by", &shape{kind: expression, doc: "CEL: matches with the same value are counted together."}, true},
			key{"within", span("How long a match counts."), true},
			key{"at_least", rate("How many matches the rule needs."), true}), false},
	},
}

// stepShape has exactly one key for what the step does.
var stepShape = &shape{
	kind: object, doc: "A step: one thing to do.",
	oneOf: []string{"end", "announce", "kick", "mute", "unmute", "hold", "unhold", "set", "publish", "webhook", "wait"},
	keys: []key{
		{"end", params("End the conference."), false},
		{"announce", announceShape, false},
		{"kick", params("Remove a participant from the conference.", target,
			key{"ends_conference", onOff("Whether it may be a participant whose leaving ends the conference; false (the default) skips such a participant."), false}), false},
		{"mute", params("Mute a participant.", target), false},
		{"unmute", params("Unmute a participant.", target), false},
		{"hold", params("Put a participant on hold.", target,
			key{"hold_url", text("URL of what it hears meanwhile."), false},
			key{"hold_method", choice("Twilio's HTTP method for that URL.", "GET", "POST"), false}), false},
		{"unhold", params("Take a participant off hold.", target), false},
		{"set", setShape, false},
		{"publish", params("Publish to a NATS subject.",
			key{"subject", text("The subject; its first word must be literal, and not gavel."), true},
			key{"data", data, false}), false},
		{"webhook", params("Call a webhook, signed as in Standard Webhooks.",
			key{"url", text("Its URL."), true},
			key{"secret_file", &shape{kind: word, pattern: anyPattern, doc: "File with the secret (whsec_...) of the signature."}, false},
			key{"data", data, false}), false},
		{"wait", span("Wait, counted from the end of the step before; then the condition must still hold."), false},
		{"on_failure", choice("Whether the rule stops (the default) or continues if the step is not done.", "stop", "continue"), false},
	},
}

var announceShape = &shape{
	kind: object, doc: "Play something to the conference or to participants.",
	oneOf: []string{"say", "file", "url"},
	keys: []key{
		{"say", text("A text to speak."), false},
		{"file", text("URL of a sound file to play."), false},
		{"url", text("URL of TwiML."), false},
		{"language", text("Language of say, like en-US."), false},
		{"voice", text("Voice of say."), false},
		{"to", choice("Who hears it; by default the participants if there is a target, else the conference.", "conference", "participant"), false},
		target,
	},
}

var setShape = params("Change flags of a participant.", target,
	key{"end_conference_on_exit", onOff("Whether the conference ends when it leaves."), false},
	key{"beep_on_exit", onOff("Whether a beep sounds when it leaves."), false},
	key{"coaching", onOff("Whether only the participant that it coaches can hear it."), false},
	key{"call_sid_to_coach", text("CallSid of the participant that it coaches."), false},
	key{"wait_url", text("URL of what it hears before the conference starts."), false},
	key{"wait_method", choice("Twilio's HTTP method for that URL.", "GET", "POST"), false},
	key{"when_held", choice("Twilio changes no flags of a participant on hold: skip the participant (the default), or unhold, change and hold again.", "skip", "unhold"), false},
)

var target = key{"target", &shape{
	kind: expression,
	doc:  "CEL: selects the live participants that the step acts on, each as participant; by default the rule's own, if it is a rule for each participant.",
}, false}

var data = &shape{kind: table, pattern: dataPattern, items: text("A value."), doc: "Further data of the message."}

func params(doc string, keys ...key) *shape { return &shape{kind: object, doc: doc, keys: keys} }
func text(doc string) *shape                { return &shape{kind: template, doc: doc} }
func onOff(doc string) *shape               { return &shape{kind: flag, doc: doc} }
func rate(doc string) *shape                { return &shape{kind: number, doc: doc, least: 1, most: maxRate} }
func span(doc string) *shape                { return &shape{kind: length, doc: doc, pattern: lengthPattern} }
func patterns(doc string) *shape            { return listOf(doc, &shape{kind: word, pattern: anyPattern}) }

func listOf(doc string, items *shape) *shape {
	return &shape{kind: list, doc: doc, items: items, least: 1}
}
func choice(doc string, values ...string) *shape { return &shape{kind: word, doc: doc, values: values} }

func kindNames() []string {
	var names []string
	for _, k := range condition.Known.Sorted() {
		names = append(names, string(k))
	}
	return names
}
