package schema

import (
	"fmt"
	"strings"
)

// suggestion names the key that an unknown key may have been meant to be, or all keys.
func suggestion(name string, s *shape) string {
	var names []string
	for _, k := range s.keys {
		names = append(names, k.name)
	}
	if near := Nearest(name, names); near != "" {
		return near
	}
	if len(names) == 0 {
		return "; no keys are allowed here"
	}
	return "; the keys are " + strings.Join(names, ", ")
}

// Nearest suggests the text among all that a text may have been meant to be, or returns "".
func Nearest(text string, all []string) string {
	best, distance := "", min(3, len(text)/2+1) // a text with more differences is another word
	for _, name := range all {
		if d := slips(text, name); d < distance {
			best, distance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// slips is the number of letters to insert, remove or change to turn a into b
// (Levenshtein's distance).
func slips(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
