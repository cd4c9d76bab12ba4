package main

import (
	"errors"
	"fmt"
	"time"

	"gavel/handlers/callback"
	"gavel/internal/twilio/twiliofake"
)

// floorFlags are the stand-in Twilio's call floor, and what goes wrong on the
// way of its callbacks.
type floorFlags struct {
	Pace       float64       `name:"rate" default:"20" placeholder:"N" help:"Conferences a minute, 0 for an empty floor (default ${default})."`
	Seed       uint64        `default:"7" placeholder:"N" help:"Another seed plays other calls (default ${default})."`
	Duplicates float64       `default:"0" placeholder:"SHARE" help:"Share of callbacks that come twice, 0 to 1."`
	Reorder    float64       `default:"0" placeholder:"SHARE" help:"Share of callbacks that later ones overtake, 0 to 1."`
	Lose       float64       `default:"0" placeholder:"SHARE" help:"Share of callbacks that never come, 0 to 1."`
	Delay      time.Duration `default:"0s" placeholder:"DURATION" help:"Callbacks come up to this much late."`
}

// maxPace is about what one terminal line a millisecond comes to.
const maxPace = 6000

func (f floorFlags) check() error {
	var faults []error
	if f.Pace < 0 || f.Pace > maxPace {
		faults = append(faults, fmt.Errorf("--rate: %v is not 0 to %v", f.Pace, float64(maxPace)))
	}
	if f.Delay < 0 {
		faults = append(faults, errors.New("--delay: is negative"))
	}
	return errors.Join(append(faults, checkShares(map[string]float64{
		"--duplicates": f.Duplicates, "--reorder": f.Reorder, "--lose": f.Lose,
	}))...)
}

// checkShares names the flags that are no share.
func checkShares(shares map[string]float64) error {
	var faults []error
	for flag, share := range shares {
		if !(share >= 0 && share <= 1) {
			faults = append(faults, fmt.Errorf("%s: %v is not 0 to 1", flag, share))
		}
	}
	return errors.Join(faults...)
}

// calling is a stand-in whose floor calls a door.
func (f floorFlags) calling(door string) twiliofake.Config {
	return twiliofake.Config{
		Status:    twiliofake.Subscription{URL: door + callback.ConferencePath + "#rc=5&rp=all"},
		Recording: twiliofake.Subscription{URL: door + callback.RecordingPath + "#rc=5&rp=all"},
		Rate:      f.Pace,
		Seed:      f.Seed,
		Faults:    twiliofake.Faults{Lose: f.Lose, Duplicate: f.Duplicates, Reorder: f.Reorder, Delay: f.Delay},
	}
}
