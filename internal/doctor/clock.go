package doctor

import (
	"slices"
	"time"
)

// Clock is another machine's clock, compared with ours.
type Clock struct {
	Whose string
	// Ahead is how far it is ahead of ours, with an uncertainty of Within.
	// Within is 0 if its time is unknown.
	Ahead, Within time.Duration
}

const (
	// skewed is more than machines with NTP differ. Redis Sentinel stops
	// failing over when a clock jumps by as much (Sentinel, TILT mode).
	skewed = 2 * time.Second
	// farOff breaks what is counted in minutes: NATS refuses duplicates for 5
	// minutes, and Gavel decides by our own clock which callbacks are stale.
	farOff = time.Minute
)

// Clocks judges all clocks: only together they show which one is wrong.
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
		return []Finding{Skipped(CheckClock, "no other clock could be read")}
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
