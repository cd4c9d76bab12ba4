package act

import (
	"cmp"
	"slices"
	"sync"

	"gavel/events"
)

// underWay holds, by decision id, the tasks and calls of this process.
type underWay struct {
	tasks   sync.Map // decision id to nil
	calling sync.Map // decision id to events.Action
	unheld  sync.Map // the same, of legs that were taken off hold and are not back yet
}

// begin records that the decision is under way. It returns false if it was already,
// because its message and its alarm were delivered together.
func (u *underWay) begin(id string) bool {
	_, busy := u.tasks.LoadOrStore(id, nil)
	return !busy
}

// OnTheWire returns this process's calls to Twilio that have no answer yet, sorted by
// id. A stop does not cancel them. A change that takes a leg off hold is among them until the leg is
// back on hold.
func (p *Performer) OnTheWire() (actions []events.Action) {
	add := func(_, a any) bool {
		if one := a.(events.Action); !slices.ContainsFunc(actions, func(b events.Action) bool { return b.ID == one.ID }) {
			actions = append(actions, one)
		}
		return true
	}
	p.underWay.calling.Range(add)
	p.underWay.unheld.Range(add)
	slices.SortFunc(actions, func(a, b events.Action) int { return cmp.Compare(a.ID, b.ID) })
	return actions
}
