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
}

// begin records that the decision is under way. It returns false if it was already,
// because its message and its alarm were delivered together.
func (u *underWay) begin(id string) bool {
	_, busy := u.tasks.LoadOrStore(id, nil)
	return !busy
}

// OnTheWire returns this process's calls to Twilio that have no answer yet, sorted by
// id. A stop does not cancel them.
func (p *Performer) OnTheWire() (actions []events.Action) {
	p.underWay.calling.Range(func(_, a any) bool {
		actions = append(actions, a.(events.Action))
		return true
	})
	slices.SortFunc(actions, func(a, b events.Action) int { return cmp.Compare(a.ID, b.ID) })
	return actions
}
