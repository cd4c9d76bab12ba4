package rules

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // quiet hours are the same on every machine

	"gavel/events"
	"gavel/rules/condition"
	"gavel/rules/schema"
)

// Defaults.
const (
	defaultPerMinute = 10
	defaultTripAfter = 50
	defaultAgain     = 15 * time.Minute
	maxAttempts      = 3
)

// Bounds of durations.
const (
	// minTime is the resolution of Twilio's clock.
	minTime = time.Second
	// minAgain leaves time for the attempt before to end.
	minAgain = time.Minute
	// maxTime is longer than any conference lasts: the longest call is a day
	// (Twilio, Programmable Voice: TimeLimit).
	maxTime = 7 * 24 * time.Hour
)

// builder makes one rule from its node.
type builder struct {
	*schema.Document
	node *schema.Node
	rule *Rule
	// priced are the conditions that are evaluated for events.
	priced []priced
}

// newBuilder compiles the rule's condition and reads its plain values; build does the rest.
func newBuilder(d *schema.Document, n *schema.Node, file string) *builder {
	return &builder{Document: d, node: n, rule: &Rule{
		Name:        n.Key("name").Text(),
		Description: n.Key("description").Text(),
		Version:     ruleVersion(n),
		File:        file,
		Line:        n.At.Line,
		Each:        Subject(cmp.Or(n.Key("each").Text(), string(EachConference))),
		When:        compile(d, n.Key("when"), condition.Compile),
		Unless:      compile(d, n.Key("unless"), condition.Compile),
		For:         span(d, n.Key("for"), minTime),
		Mode:        Mode(cmp.Or(n.Key("mode").Text(), string(Shadow))),
	}}
}

// build makes as much of the rule as is correct; each mistake becomes a fault of the document.
func (b *builder) build() {
	if b.rule.When != nil {
		b.adviseGuards(b.node.Key("when"), b.rule.When.Unguarded)
	}
	if b.rule.Unless != nil {
		b.adviseGuards(b.node.Key("unless"), b.rule.Unless.Unguarded)
	}
	b.rule.perEvent = b.rule.aboutEvents(b.rule.When) || b.rule.aboutEvents(b.rule.Unless)
	b.steps()
	b.on()
	b.rule.parts = partsOf(b.rule)
	b.rule.ofLeg = ofLeg(b.rule)
	b.times()
	b.limits()
	b.count()
	b.costs()
}

// ruleVersion is the hash of the whole rule except its description. The order
// and the spelling of keys do not matter.
func ruleVersion(n *schema.Node) string {
	sum := sha256.New()
	for _, line := range n.Lines() {
		if !strings.HasPrefix(line, "description=") {
			fmt.Fprintf(sum, "%d %s ", len(line), line)
		}
	}
	return shortHash(sum.Sum(nil))
}

// on sets which events may begin an occasion.
func (b *builder) on() {
	r := b.rule
	switch written := b.node.Key("on"); {
	case written != nil:
		r.On, r.written = condition.Kinds{}, true
		for _, n := range written.Items() {
			r.On[events.Kind(n.Text())] = struct{}{}
		}
	case r.When == nil: // already a fault
	case r.PerEvent():
		r.On = r.When.HoldsAt
	default:
		r.On = derived(r)
	}
}

// derived returns the events that can change whether the condition holds for
// some subject. If no event changes a condition, such as one on the account
// only, it holds from the first event on, whatever that is.
func derived(r *Rule) condition.Kinds {
	kinds := r.When.ChangedBy
	if r.Unless != nil {
		kinds = kinds.With(r.Unless.ChangedBy)
	}
	if r.Each == EachParticipant {
		kinds = kinds.With(condition.ChangesParticipants)
	}
	if len(kinds) == 0 {
		return condition.Known
	}
	return kinds
}

// partsOf returns the parts of a record that the rule's condition reads, and those that decide
// whether a subject exists and whether Twilio can still act on it.
func partsOf(r *Rule) condition.Parts {
	parts := condition.Life
	if r.Each == EachParticipant {
		parts |= condition.Presence
	}
	for _, c := range []*condition.Condition{r.When, r.Unless} {
		if c != nil {
			parts |= c.Parts
		}
	}
	return parts
}

// ofLeg reports whether a rule for each participant reads nothing except that participant.
func ofLeg(r *Rule) bool {
	reads := func(c *condition.Condition) bool { return c != nil && c.Uses("conference") }
	return r.Each == EachParticipant && !reads(r.When) && !reads(r.Unless)
}

// times reads again and attempts, and adds faults for what a rule about events cannot have.
func (b *builder) times() {
	r := b.rule
	again, attempts := b.node.Key("again"), b.node.Key("attempts")
	r.Again, r.Attempts = span(b.Document, again, minAgain), 1
	ends := func(s Step) bool { return s.Kind == StepEnd }
	if again == nil && slices.ContainsFunc(r.Do, ends) && !r.PerEvent() {
		r.Again = defaultAgain
	}
	if r.Again > 0 {
		r.Attempts = maxAttempts
	}
	if attempts != nil {
		r.Attempts = number(attempts)
		if r.Again == 0 && r.Attempts > 1 {
			b.Fault(attempts.At, "attempts need again, the time between one attempt and the next")
		}
	}
	if r.Attempts == 1 {
		r.Again = 0
	}
	if r.PerEvent() {
		b.checkPerEvent()
	}
}

// checkPerEvent adds faults for the keys that a rule about single events cannot have.
func (b *builder) checkPerEvent() {
	why := "the rule is about single events, because it uses event or before"
	if b.rule.Each == EachConference {
		why += ", or participant without `each: participant`"
	}
	for _, name := range []string{"for", "again"} {
		if n := b.node.Key(name); n != nil {
			b.Fault(n.At, "%s has no meaning here: %s", name, why)
		}
	}
	for _, n := range b.node.Key("do").Items() {
		if wait := n.Key(string(StepWait)); wait != nil {
			b.Fault(wait.At, "wait has no meaning here: %s", why)
		}
	}
}

func (b *builder) limits() {
	r, n := b.rule, b.node.Key("limits")
	r.Limits = Limits{PerMinute: number(n.Key("per_minute")), TripAfter: number(n.Key("trip_after"))}
	if r.AtTwilio() {
		r.Limits.PerMinute = cmp.Or(r.Limits.PerMinute, defaultPerMinute)
		r.Limits.TripAfter = cmp.Or(r.Limits.TripAfter, defaultTripAfter)
	}
}

func (b *builder) count() {
	n := b.node.Key("count")
	if n == nil {
		return
	}
	by := n.Key("by")
	b.rule.Count = &Count{Within: span(b.Document, n.Key("within"), minTime), AtLeast: number(n.Key("at_least"))}
	b.rule.Count.By = compile(b.Document, by, condition.CompileValue)
	b.checkVariables(by, b.rule.Count.By, false)
	for i, s := range b.rule.Do {
		if s.Kind != StepPublish && s.Kind != StepWebhook {
			b.Fault(b.node.Key("do").Items()[i].At, "a rule that counts is about many conferences: it can only publish or call webhooks")
		}
	}
}

func buildQuietHours(d *schema.Document, n *schema.Node) *QuietHours {
	q := &QuietHours{
		Location: time.UTC,
		From:     clock(n.Key("from")),
		To:       clock(n.Key("to")),
		Do:       Quiet(cmp.Or(n.Key("do").Text(), string(QuietHold))),
	}
	if tz := n.Key("tz"); tz != nil {
		location, err := time.LoadLocation(tz.Text())
		if err != nil || tz.Text() == "Local" {
			d.Fault(tz.At, "unknown time zone; write one like Europe/Berlin")
		} else {
			q.Location = location
		}
	}
	if to := n.Key("to"); to != nil && q.From == q.To {
		d.Fault(to.At, "from and to are the same time")
	}
	return q
}

// clock parses a time of day such as "22:30" into the duration since midnight. The
// schema has checked the form.
func clock(n *schema.Node) time.Duration {
	sinceMidnight, _ := time.ParseDuration(strings.Replace(n.Text(), ":", "h", 1) + "m")
	return sinceMidnight
}

// span parses a duration from least to maxTime, both included. It returns zero
// for a missing key (nil), and after a fault. The schema has checked the form.
func span(d *schema.Document, n *schema.Node, least time.Duration) time.Duration {
	if n == nil {
		return 0
	}
	length, ok := parseSpan(n.Text())
	if !ok || length < least || length > maxTime {
		d.Fault(n.At, "must be between %s and %dd", spanText(least), maxTime/(24*time.Hour))
		return 0
	}
	return length
}

// parseSpan parses a duration in Go's notation, with days in front: 1d12h.
func parseSpan(text string) (time.Duration, bool) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "0", text
	}
	n, err := strconv.Atoi(days)
	if err != nil || n > int(maxTime/(24*time.Hour)) {
		return 0, false
	}
	length := time.Duration(n) * 24 * time.Hour
	if rest == "" {
		return length, true
	}
	more, err := time.ParseDuration(rest)
	return length + more, err == nil
}

// spanText formats a duration as rule files contain it: 1m, not 1m0s.
func spanText(length time.Duration) string {
	text := length.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	return text
}

func words(n *schema.Node) []string {
	var all []string
	for _, item := range n.Items() {
		all = append(all, item.Text())
	}
	return all
}

// number parses a whole number whose form the schema has checked; 0 if n is nil.
func number(n *schema.Node) int {
	i, _ := strconv.Atoi(n.Text())
	return i
}
