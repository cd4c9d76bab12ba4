package main

import "slices"

// row is the smallest input of one fault. To add one, append it to the list of its part, in the
// file of that part; a new part adds its list to rows. An id may have several rows.
type row struct {
	id string
	// input is what is done, in a few words; expected is what run returns if it is right.
	input, expected string
	// run does it and returns what it saw. Each row has a world of its own, whose
	// processes start when the row first needs them, so rows cannot disturb each other.
	run func(*world) string
}

func rows() []row {
	return slices.Concat(doorRows, keyRows, pictureRows, restRows, settingsRows)
}
