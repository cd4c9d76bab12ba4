package bus

import (
	"maps"
	"slices"
)

// deal says which projector is to work each lane: its id, by the lane's number.
// held are the lanes that each of them has now.
//
// Everybody gets the same number, and the elders, whose ids sort first, one more
// where it does not come out even. Each keeps of its own what that number allows,
// the lowest first; what nobody keeps goes to the elders first, in order.
//
// So all who know the same agree, and go on agreeing while the lanes change hands:
// a lane taken or given as dealt changes nothing in the deal. And when a projector
// goes, nobody else has to give anything.
func deal(lanes int, held map[string]map[int]bool) []string {
	owners := make([]string, lanes)
	ids := slices.Sorted(maps.Keys(held))
	room := make([]int, len(ids))
	for i, id := range ids {
		room[i] = (lanes + len(ids) - 1 - i) / len(ids)
		for lane := range lanes {
			if room[i] > 0 && held[id][lane] && owners[lane] == "" {
				owners[lane] = id
				room[i]--
			}
		}
	}
	next := 0
	for lane, owner := range owners {
		if owner != "" {
			continue
		}
		for next < len(ids) && room[next] == 0 {
			next++
		}
		if next < len(ids) {
			owners[lane] = ids[next]
			room[next]--
		}
	}
	return owners
}
