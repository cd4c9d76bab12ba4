package doctor

import (
	"slices"
	"time"
)

// Clock is somebody's clock beside ours.
type Clock struct {
	Whose string
	// Ahead is how far it is ahead of ours, give or take Within. Within is 0
	// where nobody told the time.
	Ahead, Within time.Duration
}

const (
	// skewed is more than machines with NTP are apart. Redis Sentinel stops
	// failing over when a clock jumps by as much (Sentinel, TILT mode).
	skewed = 2 * time.Second
	// farOff breaks what counts in minutes: NATS refuses doubles for 5 of them
	// and Gavel calls silence stale by our own clock.
	farOff = time.Minute
)

// Clocks judges them all: only together they say whose is wrong.
func Clocks(clocks []Clock) (found []Finding) {
	var near []string
	for _, c := range clocks {
		if c.Within == 0 {
			continue
		}
		off := max(c.Ahead.Abs()-c.Within, 0)
		switch {
		case off > farOff:
			found = append(found, c.apart(CheckClock.fault))
		case off > skewed:
			found = append(found, c.apart(CheckClock.warn))
		case !slices.Contains(near, c.Whose):
			near = append(near, c.Whose)
		}
	}
	switch {
	case len(found) == 0 && len(near) == 0:
		return []Finding{Skipped(CheckClock, "nobody told the time")}
	case len(near) > 0:
		found = append(found, CheckClock.ok("agrees with that of %s", list(near)))
	}
	return found
}

func (c Clock) apart(level func(string, ...any) Finding) Finding {
	direction := "behind"
	if c.Ahead > 0 {
		direction = "ahead of"
	}
	return level("the clock of %s is %v %s this machine's", c.Whose, rough(c.Ahead.Abs()), direction).
		do("let NTP set the clock of both; the one that differs from the others is the wrong one")
}
