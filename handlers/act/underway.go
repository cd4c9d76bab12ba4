package act

import (
	"cmp"
	"slices"
	"sync"

	"gavel/events"
)

// underWay holds, by decision id, what this process is working on.
type underWay struct {
	tasks   sync.Map // to nothing
	calling sync.Map // to events.Action
}

// begin reports whether the decision was not under way yet. It is if its
// message and its alarm were delivered together.
func (u *underWay) begin(id string) bool {
	_, busy := u.tasks.LoadOrStore(id, nil)
	return !busy
}

// OnTheWire returns the calls to Twilio that this process has begun and that
// have no answer yet, by id. A stop does not cancel them.
func (p *Performer) OnTheWire() (actions []events.Action) {
	p.underWay.calling.Range(func(_, a any) bool {
		actions = append(actions, a.(events.Action))
		return true
	})
	slices.SortFunc(actions, func(a, b events.Action) int { return cmp.Compare(a.ID, b.ID) })
	return actions
}
