package bus

import (
	"maps"
	"slices"
)

// assign returns the id of the projector that should own each lane, by lane number.
// held holds the lanes that each projector owns now.
//
// All projectors get the same number of lanes, and if lanes remain the first by id get
// one more. A projector keeps its own lanes up to that number, the lowest first. The
// other lanes go to the first projectors by id, in order.
//
// So projectors with the same data compute the same result, also while lanes move: a move according
// to the result does not change it. When a projector leaves, the others keep their lanes.
func assign(lanes int, held map[string]map[int]bool) []string {
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
