package projections

import "slices"

// Changes returns the moments from `since` on at which a leg joined, left, or was held or muted,
// or the end of either; newest first.
func (c *Conference) Changes(since Instant) []Turn {
	var all []Turn
	for _, p := range c.Participants {
		for _, turns := range [][]Turn{p.presence(), p.held(), p.muted()} {
			for _, t := range turns {
				if t.At >= since {
					all = append(all, t)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b Turn) int { return CompareTurns(b, a) })
	return slices.Compact(all)
}

// Before returns the record as it was right before a change, in what the record has a history of:
// start, presence, hold and mute. Everything else is as it is now.
func (c *Conference) Before(t Turn) *Conference {
	was := *c
	was.Participants = nil
	if was.End = nil; c.Start != nil && CompareTurns(Turn{Seq: c.Start.Seq, At: c.Start.At}, t) >= 0 {
		was.Start = nil
	}
	for _, now := range c.Participants {
		p := *now
		if p.Present = before(now.presence(), t); len(p.Present) == 0 {
			continue
		}
		held, muted := now.held(), now.muted()
		p.Held, p.Muted, p.Answer = before(held, t), before(muted, t), nil
		p.Last = p.Present[len(p.Present)-1]
		if len(held) > 0 {
			p.Flags.Value.Hold = isOn(p.Held)
		}
		if len(muted) > 0 {
			p.Flags.Value.Muted = isOn(p.Muted)
		}
		was.Participants = append(was.Participants, &p)
	}
	return &was
}

// before returns the turns before t, which share memory with turns.
func before(turns []Turn, t Turn) []Turn {
	i, _ := slices.BinarySearchFunc(turns, t, CompareTurns)
	return turns[:i:i]
}

func isOn(turns []Turn) bool { return len(turns) > 0 && turns[len(turns)-1].On }
