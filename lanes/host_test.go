package lanes_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"gavel/events"
	"gavel/lanes"
	"gavel/projections"
	"gavel/rules"
)

// host is a host of the machine that does each of its duties in memory, one
// message at a time, and logs them.
type host struct {
	*testing.T
	log   strings.Builder
	files map[string]string
	sets  map[string]*rules.Set

	journal []events.Group
	// history is what was stored after each message of the journal; the first
	// is what was stored before all of them.
	history []stored
	now     stored
	machine *lanes.Machine
	// conferences is the host's cache.
	conferences map[events.Key]*lanes.Conference

	names   []string // of rooms and legs, by the number in their SIDs
	seq     map[string]int64
	last    events.Entry // of the story's commands
	decided map[string]rules.Decision
	// engine is that of the build that owns the lane. read are the versions whose
	// sets were read since the last fill began.
	engine int
	read   map[string]bool
}

// stored is what a store has of the lane.
type stored struct {
	conferences map[events.Key]projections.Stored
	lane        []byte
}

const account = "AC00000000000000000000000000000001"

var began = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func newHost(t *testing.T, files []txtar.File) *host {
	t.Helper()
	h := &host{
		T: t, files: map[string]string{}, sets: map[string]*rules.Set{}, seq: map[string]int64{},
		decided: map[string]rules.Decision{},
		now:     stored{conferences: map[events.Key]projections.Stored{}},
		engine:  events.Engine, read: map[string]bool{},
	}
	for _, f := range files {
		h.files[f.Name] = string(f.Data)
	}
	h.history = []stored{h.now}
	h.open()
	return h
}

// Set loads a rule set for the machine.
func (h *host) Set(_ context.Context, version string) (*rules.Set, error) {
	h.read[version] = true
	if set := h.sets[version]; set != nil {
		return set, nil
	}
	return nil, errors.New("unknown version")
}

// open begins with what is stored, as after a start.
func (h *host) open() {
	var err error
	h.machine, err = lanes.New(h, h.now.lane)
	h.must(err)
	h.machine.SetEngine(h.engine)
	h.conferences = map[events.Key]*lanes.Conference{}
}

func (h *host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// command executes one line of the story.
func (h *host) command(words []string) {
	h.Helper()
	switch words[0] {
	case "damaged":
		h.append([]byte{1, byte(events.SourceCallback), 0xff})
	case "acknowledge":
		h.machine.Announced(uint64(len(h.journal)))
	case "engine":
		var err error
		h.engine, err = strconv.Atoi(words[1])
		h.must(err)
		h.open()
	case "fill":
		h.fill()
	case "crash-and-step-again":
		n, err := strconv.Atoi(words[1])
		h.must(err)
		h.crash(n, len(words) > 2)
	default:
		at, err := time.ParseDuration(words[0])
		h.must(err)
		h.last = h.entry(began.Add(at), words[1], words[2:])
		h.append(events.AppendEntry(nil, h.last))
	}
}

// entry is the journal entry of a command.
func (h *host) entry(at time.Time, command string, args []string) events.Entry {
	h.Helper()
	id := fmt.Sprintf("%026d", len(h.journal)+1)
	switch command {
	case "load":
		set, err := rules.Parse(rules.File{Name: args[0], Text: h.files[args[0]]})
		h.must(err)
		h.sets[set.Version] = set
		return events.NewRulesLoaded(events.Load{ID: id, Version: set.Version, At: at, Engine: h.engine})
	case "newer":
		return events.Entry{Source: events.SourceGavel, ReceivedAt: at, Form: "Event=gavel-of-a-newer-version&Id=" + id}
	case "callback":
		return h.callback(at, args)
	case "double":
		h.last.ReceivedAt = at
		return h.last
	case "form":
		return events.Entry{Source: events.SourceCallback, ReceivedAt: at, Form: args[0]}
	case "healed":
		return h.healed(id, at, args)
	case "wake":
		return named(id, events.NewWake(h.room(args[0]), at))
	case "reread":
		return named(id, events.NewReread(h.room(args[0]), at))
	case "exempt":
		until, err := time.ParseDuration(args[1])
		h.must(err)
		x := events.Exemption{ID: id, Key: h.room(args[0]), Until: began.Add(until), At: at, Actor: events.Actor{Sid: "SK" + account[2:]}}
		if len(args) > 2 {
			x.Rule = args[2]
		}
		return events.NewExempted(x)
	case "exempt-name":
		until, err := time.ParseDuration(args[1])
		h.must(err)
		return events.NewNameExempted(events.Exemption{
			ID: id, Key: events.Key{AccountSid: account}, Name: args[0], Until: began.Add(until), At: at, Actor: events.Actor{Sid: "SK" + account[2:]},
		})
	case "reset":
		return events.NewRuleReset(events.Reset{ID: id, Rule: args[0], Reason: "x", At: at, Actor: events.Actor{Sid: "SK" + account[2:]}})
	case "outcome":
		return h.outcome(at, args[0], events.Result(args[1]))
	}
	h.Fatalf("unknown command %q", command)
	return events.Entry{}
}

var ulid = regexp.MustCompile(`Id=[0-9A-Z]{26}`)

// named gives an entry an id that is the same in every run.
func named(id string, e events.Entry) events.Entry {
	e.Form = ulid.ReplaceAllString(e.Form, "Id="+id)
	return e
}

func (h *host) callback(at time.Time, args []string) events.Entry {
	room, kind := h.room(args[0]), events.Kind(args[1])
	form := url.Values{
		"AccountSid": {account}, "ConferenceSid": {room.ConferenceSid}, "FriendlyName": {args[0]},
		"StatusCallbackEvent": {string(kind)}, "Timestamp": {at.Format(time.RFC1123Z)},
	}
	for _, word := range args[2:] {
		name, value, found := strings.Cut(word, "=")
		switch {
		case !found:
			form.Set("CallSid", "CA"+h.number(word))
			form.Set("ParticipantLabel", word)
			for _, flag := range []string{"Muted", "Coaching", "EndConferenceOnExit"} {
				form.Set(flag, "false")
			}
			form.Set("Hold", strconv.FormatBool(kind == events.ParticipantHold))
			form.Set("StartConferenceOnEnter", "true")
		case name == "happened":
			happened, err := time.ParseDuration(value)
			h.must(err)
			form.Set("Timestamp", began.Add(happened).Format(time.RFC1123Z))
		case name == "seq":
			form.Set("SequenceNumber", value)
		default:
			form.Set(name, value)
		}
	}
	if kind == events.ConferenceEnd {
		form.Set("ReasonConferenceEnded", projections.EndedByLastLeft)
	}
	if form.Get("SequenceNumber") == "" {
		form.Set("SequenceNumber", strconv.FormatInt(h.seq[args[0]], 10))
	}
	n, err := strconv.ParseInt(form.Get("SequenceNumber"), 10, 64)
	h.must(err)
	h.seq[args[0]] = max(h.seq[args[0]], n+1)
	return events.Entry{Source: events.SourceCallback, ReceivedAt: at, Form: form.Encode()}
}

func (h *host) healed(id string, at time.Time, args []string) events.Entry {
	f := events.Healed{ID: id, Key: h.room(args[0]), Fact: events.Kind(args[1]), Behind: h.seq[args[0]] - 1, At: at}
	if len(args) > 2 {
		f.CallSid = "CA" + h.number(args[2])
	}
	if len(args) > 3 {
		f.Flags = args[3]
	}
	return events.NewHealed(f)
}

func (h *host) outcome(at time.Time, rule string, result events.Result) events.Entry {
	d, known := h.decided[rule]
	if !known {
		h.Fatalf("rule %s decided nothing", rule)
	}
	a := events.Action{
		ID: d.ID, Do: d.Do.Action(), AccountSid: account, ConferenceSid: d.ConferenceSid, CallSid: d.CallSid,
		Actor: events.Actor{Rule: rule}, At: d.AsOf,
	}
	return events.NewOutcome(a, events.Outcome{Result: result, Status: 200, At: at})
}

// room is the conference with that name.
func (h *host) room(name string) events.Key {
	return events.Key{AccountSid: account, ConferenceSid: "CF" + h.number(name)}
}

// number is what follows the prefix in the SID of a room or leg.
func (h *host) number(name string) string {
	at := slices.Index(h.names, name)
	if at < 0 {
		at = len(h.names)
		h.names = append(h.names, name)
	}
	return fmt.Sprintf("%032x", at+1)
}

// name is the room or leg of a SID.
func (h *host) name(sid string) string {
	if sid == "" {
		return "-"
	}
	n, err := strconv.ParseUint(sid[2:], 16, 64)
	h.must(err)
	return h.names[n-1]
}

// append stores a journal message and steps through it, and then through the
// matches that it led to.
func (h *host) append(data []byte) {
	h.Helper()
	h.journal = append(h.journal, events.Group{Sequence: uint64(len(h.journal) + 1), Data: data})
	for _, m := range h.stepMessage(h.journal[len(h.journal)-1]) {
		h.append(events.AppendEntry(nil, m))
	}
}

// crash drops what is in memory and, if unsaved, what was stored after the
// first of the last n messages, and steps through these messages again.
func (h *host) crash(n int, unsaved bool) {
	h.Helper()
	first := len(h.journal) - n
	if unsaved {
		h.now = h.history[first]
	}
	h.history = h.history[:first+1]
	h.open()
	var matches []events.Entry
	for _, g := range h.journal[first:] {
		matches = append(matches, h.stepMessage(g)...)
	}
	for _, m := range matches {
		h.append(events.AppendEntry(nil, m))
	}
}

// fill makes the picture again from the whole journal, and compares it with the
// one that the lane's owners made.
func (h *host) fill() {
	h.Helper()
	before, log, decided := h.now, h.log.String(), h.decided
	h.now, h.read = stored{conferences: map[events.Key]projections.Stored{}}, map[string]bool{}
	h.open()
	for _, g := range h.journal {
		h.machine.Announced(g.Sequence)
		h.stepMessage(g)
	}
	h.history, h.decided = h.history[:len(h.journal)+1], decided
	h.log.Reset()
	h.log.WriteString(log)
	for _, key := range slices.SortedFunc(maps.Keys(before.conferences), func(a, b events.Key) int { return cmp.Compare(a.ConferenceSid, b.ConferenceSid) }) {
		was, is := string(before.conferences[key].Rules), string(h.now.conferences[key].Rules)
		switch {
		case was != is:
			h.printf("%s differs from what was stored: %s, not %s", h.name(key.ConferenceSid), is, was)
		default:
			h.printf("the rule state of %s is the same", h.name(key.ConferenceSid))
		}
	}
	if !bytes.Equal(before.lane, h.now.lane) {
		h.printf("the lane's state differs: %s, not %s", h.now.lane, before.lane)
	}
	h.printf("%d of %d sets were read", len(h.read), len(h.sets))
}

// stepMessage steps through one message.
func (h *host) stepMessage(g events.Group) (matches []events.Entry) {
	h.Helper()
	var read lanes.Reader
	read.Read(g, h.machine.Evaluates())
	if read.Skipped > 0 {
		h.printf("  %d entries skipped, which a newer version wrote", read.Skipped)
	}
	for i := range read.Letters {
		h.letter(&read.Letters[i])
	}
	h.now = stored{maps.Clone(h.now.conferences), h.now.lane}
	for i := range read.Entries {
		e := &read.Entries[i]
		c, before := h.load(e), lanes.Conference{}
		if c != nil {
			before = *c
		}
		r, err := h.machine.Step(h.Context(), e, c)
		h.must(err)
		h.printf("%s %s", e.At, e.Event.Kind)
		matches = append(matches, h.process(e, &before, c, &r)...)
	}
	h.history = append(h.history, h.now)
	return matches
}

// load returns the entry's conference, from memory or from the store.
func (h *host) load(e *lanes.Entry) *lanes.Conference {
	if e.Event.ConferenceSid == "" {
		return nil
	}
	key := e.Event.Key()
	if h.conferences[key] == nil {
		c, err := lanes.Open(h.now.conferences[key])
		h.must(err)
		h.conferences[key] = &c
	}
	return h.conferences[key]
}

// process does what a step led to, in the order of Ready's fields.
func (h *host) process(e *lanes.Entry, before, c *lanes.Conference, r *lanes.Ready) (matches []events.Entry) {
	for _, d := range r.Matches {
		h.printf("  append a match of %s by %s", d.Rule, cmp.Or(d.By, "-"))
		_, entry, err := lanes.MatchEntry(d, e.Event.ReceivedAt)
		h.must(err)
		matches = append(matches, entry)
	}
	for _, d := range r.Decisions {
		h.decide(d)
	}
	if !r.Alarm.IsZero() {
		h.printf("  set the alarm of %s to %s", h.name(c.Record.ConferenceSid), offset(r.Alarm))
	}
	if r.Changed {
		h.save(before, c)
	}
	if r.LaneChanged {
		state, err := h.machine.MarshalState()
		h.must(err)
		h.now.lane = state
		h.printf("  save the lane")
	}
	if r.Loaded {
		h.printf("  wake all conferences")
	}
	h.logNews(r)
	return matches
}

// logNews logs what is published, and what is only counted.
func (h *host) logNews(r *lanes.Ready) {
	if r.News.Entry != nil {
		late := ""
		if r.News.Late {
			late = ", late"
		}
		h.printf("  publish %s%s", r.News.Entry.Event.Kind, late)
	}
	if r.Letter != nil {
		h.letter(r.Letter)
	}
	if r.Skipped {
		h.printf("  skipped")
	}
	if r.Double {
		h.printf("  a double")
	}
	if r.Jumped > 0 {
		h.printf("  %d numbers are missing", r.Jumped)
	}
	if r.Overdue > 0 {
		h.printf("  woken %s late", r.Overdue)
	}
	for _, f := range r.Faults {
		h.printf("  %s of %s has no value", f.In, f.Rule)
	}
}

func (h *host) letter(l *events.DeadLetter) {
	h.printf("  put %s to the dead letters: %s %s", l.Position, cmp.Or(l.Field, "message"), l.Reason)
}

// decide publishes a decision, which is kept once.
func (h *host) decide(d rules.Decision) {
	again := ""
	if before, known := h.decided[d.Rule]; known && before.ID == d.ID {
		again = ", which is kept already"
	}
	h.decided[d.Rule] = d
	h.printf("  publish the decision of %s: %s %s %s, step %d, as of %s%s",
		d.Rule, d.Verdict, d.Do, h.name(cmp.Or(d.CallSid, d.ConferenceSid)), d.Step, offset(d.AsOf), again)
}

// save is one compare-and-set.
func (h *host) save(before, c *lanes.Conference) {
	h.Helper()
	w, err := c.Write(before)
	h.must(err)
	key := events.Key{AccountSid: w.After.AccountSid, ConferenceSid: w.After.ConferenceSid}
	old := h.now.conferences[key]
	if w.Expect != old.Book.Version {
		h.Errorf("%s: version %d is expected, %d is stored", h.name(key.ConferenceSid), w.Expect, old.Book.Version)
	}
	next := projections.Stored{Conference: w.After, Book: w.Book, Rules: w.Rules}
	if w.Rules == nil {
		next.Rules = old.Rules
	}
	h.now.conferences[key] = next
	h.printf("  save %s: version %d, %s, %d present, %d doubtful%s", h.name(key.ConferenceSid), w.Book.Version,
		c.Record.Status(), len(c.Record.Live()), len(w.Book.Doubtful), h.ruleState(c.Rules))
}

// ruleState formats the rule state in short.
func (h *host) ruleState(s *rules.State) string {
	if s == nil {
		return ""
	}
	var all []string
	for _, x := range s.Stretches {
		all = append(all, fmt.Sprintf("%s is %s", x.Rule, x.Phase))
	}
	for _, f := range s.Flips {
		all = append(all, f.Rule+" may turn at "+offset(f.Due))
	}
	for _, l := range s.Ladders {
		all = append(all, fmt.Sprintf("%s is at step %d", l.Rule, l.Step))
	}
	for _, x := range s.Exemptions {
		all = append(all, cmp.Or(x.Rule, "all")+" exempt until "+offset(x.Until))
	}
	if len(all) == 0 {
		return "; an alarm at " + offset(s.Alarm)
	}
	return "; " + strings.Join(all, ", ")
}

// saved is everything that is stored, as bytes.
func (h *host) saved() map[string]string {
	all := map[string]string{"lane": string(h.now.lane)}
	for key, s := range h.now.conferences {
		all[h.name(key.ConferenceSid)] = fmt.Sprintf("%s %+v %s", projections.AppendConference(nil, s.Conference), s.Book, s.Rules)
	}
	return all
}

func offset(t time.Time) string { return t.Sub(began).String() }

func (h *host) printf(format string, args ...any) {
	fmt.Fprintf(&h.log, "    "+format+"\n", args...)
}
