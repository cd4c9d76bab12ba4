package project

import (
	"sync/atomic"
	"time"
)

// State is the state of one lane.
type State struct {
	Lane int
	// Ready: the picture is complete and this process works the lane.
	Ready bool
	// Elsewhere: another process works the lane, and this one is a standby.
	Elsewhere bool
	// Filling: Done of Total stream sequences are read.
	Filling     bool
	Done, Total uint64
	// Lag is how long the newest processed entry had waited, zero when no entry waits.
	Lag time.Duration
	// Err is why the lane stopped, as text for people.
	Err string
}

// status is a lane's state for other goroutines than the one that works it. It is
// safe for concurrent use.
type status struct {
	lane    Lane
	metrics *Metrics
	state   atomic.Pointer[State]
	// worked is the last stream sequence that was acknowledged.
	worked atomic.Uint64
}

func newStatus(lane Lane, metrics *Metrics) *status {
	s := &status{lane: lane, metrics: metrics}
	s.set(State{})
	return s
}

// get returns the lane's state. A standby reports no error, even if an error cost it the lane.
func (s *status) get() State {
	if s.lane.Elsewhere() {
		return State{Lane: s.lane.Number(), Elsewhere: true}
	}
	return *s.state.Load()
}

func (s *status) set(state State) {
	state.Lane = s.lane.Number()
	s.state.Store(&state)
}

// lag returns the Lag of the state, as of its last update.
func (s *status) lag() time.Duration { return s.state.Load().Lag }

// setLag records how long the newest entry of a batch had waited. The metric has
// every lag. The state has only those above checkEvery, which an operator would
// notice, and 0 otherwise: it is stored only where it changes, because most batches
// have none. idle resets both once no entry waits.
func (s *status) setLag(lag time.Duration) {
	s.metrics.setLag(s.lane.Number(), lag)
	if lag <= checkEvery {
		lag = 0
	}
	if lag != s.lag() {
		s.set(State{Ready: true, Lag: lag})
	}
}

// idle sets the state of a lane without waiting entries.
func (s *status) idle() {
	s.metrics.setLag(s.lane.Number(), 0)
	s.set(State{Ready: true})
}
