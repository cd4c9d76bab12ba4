package act

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"gavel/events"
)

// underWay knows what this process is at.
type underWay struct {
	mu      sync.Mutex
	tasks   map[string]struct{}
	calling map[string]events.Action
}

// begin takes a decision; false is one that is under way already, because its
// message and its alarm came together.
func (u *underWay) begin(id string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, busy := u.tasks[id]; busy {
		return false
	}
	if u.tasks == nil {
		u.tasks, u.calling = map[string]struct{}{}, map[string]events.Action{}
	}
	u.tasks[id] = struct{}{}
	return true
}

func (u *underWay) end(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.tasks, id)
}

func (u *underWay) calls(a events.Action) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.calling[a.ID] = a
}

func (u *underWay) called(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.calling, id)
}

// OnTheWire returns the calls to Twilio that this process has begun and that
// have no answer yet, by id. A stop does not call them back.
func (p *Performer) OnTheWire() []events.Action {
	p.underWay.mu.Lock()
	defer p.underWay.mu.Unlock()
	return slices.SortedFunc(maps.Values(p.underWay.calling), func(a, b events.Action) int {
		return strings.Compare(a.ID, b.ID)
	})
}
