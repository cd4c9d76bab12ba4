package lanes

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"gavel/events"
	"gavel/projections"
	"gavel/rules"
)

// keepLoads is how many loads a lane remembers. A conference with more loads since
// its last entry is evaluated as if the earlier ones did not exist. That is rare,
// because every load wakes every conference that has not ended.
const keepLoads = 64

// keepNames is how many exemptions of names a lane remembers; the oldest is dropped.
const keepNames = 1000

// state is the lane's own state as the store keeps it, as JSON.
type state struct {
	// Applied is the last position that changed it. It may be ahead of the acknowledged position.
	Applied events.Position `json:"applied"`
	// Loads are in journal order, and with them exemptions of names and resets.
	Loads []load `json:"loads,omitempty"`
	// Names are the exemptions of names, also for conferences that begin later.
	Names []nameExemption `json:"names,omitempty"`
	// Tallies are by countKey.
	Tallies map[string]rules.Tally `json:"tallies,omitempty"`
}

// load is a rule set that came into force at one position of the journal, or something else that an
// operator stated to all conferences there; its Version and Engine are those of the load before then.
type load struct {
	ID       string          `json:"id"`
	Version  string          `json:"version"`
	At       time.Time       `json:"at"`
	Position events.Position `json:"position"`
	// Engine is absent for a load before engines had numbers, which is engine 1.
	Engine int `json:"engine,omitempty"`
	// Exempt is set if the conferences of a name were exempted; Reset is the rule that was reset.
	Exempt *nameExemption `json:"exempt,omitempty"`
	Reset  string         `json:"reset,omitempty"`
}

// nameExemption exempts the conferences of a name.
type nameExemption struct {
	ID         string          `json:"id"`
	AccountSid string          `json:"account_sid"`
	Name       string          `json:"name"`
	Rule       string          `json:"rule,omitempty"`
	Until      time.Time       `json:"until"`
	Position   events.Position `json:"position"`
}

// of reports whether the exemption is about a conference.
func (x *nameExemption) of(c *projections.Conference) bool {
	return c.AccountSid == x.AccountSid && c.FriendlyName.Value == x.Name
}

func (x *nameExemption) until() rules.ExemptUntil {
	return rules.ExemptUntil{Rule: x.Rule, Until: x.Until}
}

// MarshalState returns the lane's state for the store, nil if the lane has none.
func (m *Machine) MarshalState() ([]byte, error) {
	if m.state.Applied == (events.Position{}) {
		return nil, nil
	}
	raw, err := json.Marshal(m.state)
	if err != nil {
		return nil, fmt.Errorf("encode the lane's rule state: %w", err)
	}
	return raw, nil
}

func (m *Machine) unmarshal(saved []byte) error {
	if len(saved) > 0 {
		if err := json.Unmarshal(saved, &m.state); err != nil {
			return fmt.Errorf("decode the lane's rule state: %w", err)
		}
	}
	if m.state.Tallies == nil {
		m.state.Tallies = map[string]rules.Tally{}
	}
	for _, t := range m.state.Tallies {
		m.marks += len(t.Marks)
	}
	return nil
}

// Loads returns the ids of the loads that the lane remembers, in journal order.
func (m *Machine) Loads() []string {
	ids := make([]string, len(m.state.Loads))
	for i, l := range m.state.Loads {
		ids[i] = l.ID
	}
	return ids
}

// LoadedAt returns when the last rule set came into force, zero if none did.
func (m *Machine) LoadedAt() time.Time {
	if len(m.state.Loads) == 0 {
		return time.Time{}
	}
	return m.state.Loads[len(m.state.Loads)-1].At
}

// load brings a rule set into force. It ignores a load whose id the lane already
// has: the journal has that entry twice.
func (m *Machine) load(ctx context.Context, e *Entry) (changed bool, err error) {
	l, err := e.Event.Load()
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(m.state.Loads, func(known load) bool { return known.ID == l.ID }) {
		return false, nil
	}
	m.state.Loads = append(m.state.Loads, load{ID: strings.Clone(l.ID), Version: strings.Clone(l.Version), At: l.At, Position: e.At, Engine: l.Engine})
	if last := len(m.state.Loads) - 1; last >= m.first() {
		set, err := m.set(ctx, l.Version)
		if err != nil {
			return false, err
		}
		m.dropTallies(set, m.restarts(last))
	}
	m.state.Loads = m.state.Loads[max(0, len(m.state.Loads)-keepLoads):]
	m.state.Applied = e.At
	return true, nil
}

// exemptName exempts the conferences of a name from here on, or lifts the exemption before it.
func (m *Machine) exemptName(e *Entry) (changed bool, err error) {
	read, err := e.Event.NameExemption()
	if err != nil {
		return false, err
	}
	x := nameExemption{
		ID: strings.Clone(read.ID), AccountSid: strings.Clone(read.Key.AccountSid), Name: strings.Clone(read.Name), Rule: strings.Clone(read.Rule),
		Until: read.Until, Position: e.At,
	}
	if !m.state.add(load{ID: x.ID, At: read.At, Position: e.At, Exempt: &x}, m.engine) {
		return false, nil
	}
	m.state.Names = slices.DeleteFunc(m.state.Names, func(old nameExemption) bool {
		same := old.AccountSid == x.AccountSid && old.Name == x.Name && old.Rule == x.Rule
		return same || !old.Until.After(read.At)
	})
	if m.state.Names = append(m.state.Names, x); len(m.state.Names) > keepNames {
		m.state.Names = m.state.Names[1:]
	}
	return true, nil
}

// reset lets the conferences of the lane begin again what a rule did not do while it was tripped.
func (m *Machine) reset(e *Entry) (changed bool, err error) {
	r, err := e.Event.Reset()
	if err != nil {
		return false, err
	}
	return m.state.add(load{ID: strings.Clone(r.ID), At: r.At, Position: e.At, Reset: strings.Clone(r.Rule)}, m.engine), nil
}

// add adds what is no rule set to the loads. It reports false if the journal has that entry twice.
func (s *state) add(l load, engine int) bool {
	if slices.ContainsFunc(s.Loads, func(known load) bool { return known.ID == l.ID }) {
		return false
	}
	l.Engine = engine
	if last := len(s.Loads) - 1; last >= 0 {
		l.Version, l.Engine = s.Loads[last].Version, s.Loads[last].Engine
	}
	s.Loads = append(s.Loads, l)
	s.Loads = s.Loads[max(0, len(s.Loads)-keepLoads):]
	s.Applied = l.Position
	return true
}

// first returns the index of the first load by an engine that is not older than this machine's, the
// number of loads if there is none yet. The loads before it are not evaluated: another engine did.
func (m *Machine) first() int {
	at := slices.IndexFunc(m.state.Loads, func(l load) bool { return max(1, l.Engine) >= m.engine })
	if at < 0 {
		return len(m.state.Loads)
	}
	return at
}

// restarts reports whether this machine's engine came into force with the ith load, after an older one.
func (m *Machine) restarts(i int) bool { return i > 0 && i == m.first() }

// LastLoad returns the version and the engine of the last load, zero values if the lane has none.
func (m *Machine) LastLoad() (version string, engine int) {
	if len(m.state.Loads) == 0 {
		return "", 0
	}
	last := m.state.Loads[len(m.state.Loads)-1]
	return last.Version, max(1, last.Engine)
}

// loadsBefore returns how many of the loads are before a position. Positions
// come in journal order, so normally all of them are.
func (m *Machine) loadsBefore(at events.Position) int {
	n := len(m.state.Loads)
	for n > 0 && !at.After(m.state.Loads[n-1].Position) {
		n--
	}
	return n
}

// noRules are in force before the first load.
var noRules = new(rules.Set)

// setOf returns the set of the ith load; before the first load, no rules are in force.
func (m *Machine) setOf(ctx context.Context, i int) (*rules.Set, error) {
	if i < 0 {
		return noRules, nil
	}
	return m.set(ctx, m.state.Loads[i].Version)
}

func (m *Machine) set(ctx context.Context, version string) (*rules.Set, error) {
	if version == "" {
		return noRules, nil // an exemption before the first load
	}
	if set := m.sets[version]; set != nil {
		return set, nil
	}
	set, err := m.loader.Set(ctx, version)
	if err != nil {
		return nil, fmt.Errorf("read the rules of version %s: %w", version, err)
	}
	m.sets[version] = set
	return set, nil
}
