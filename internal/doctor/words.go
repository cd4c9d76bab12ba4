package doctor

import (
	"fmt"
	"strings"
	"time"
)

// count formats "1 account" and "2 accounts".
func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// maxExamples is how many SIDs a finding names: enough to examine one.
const maxExamples = 3

func examples(conferences []Conference) string {
	var sids []string
	for _, c := range conferences[:min(len(conferences), maxExamples)] {
		sids = append(sids, c.Sid)
	}
	if len(conferences) > maxExamples {
		return strings.Join(sids, ", ") + " and others"
	}
	return strings.Join(sids, ", ")
}

// size formats bytes for people.
func size(bytes int64) string {
	const gigabyte, megabyte = 1e9, 1e6
	if bytes >= gigabyte {
		return fmt.Sprintf("%.1f GB", float64(bytes)/gigabyte)
	}
	return fmt.Sprintf("%.0f MB", float64(bytes)/megabyte)
}

// rough rounds a duration for people.
func rough(d time.Duration) time.Duration {
	if d > time.Minute {
		return d.Round(time.Second)
	}
	return d.Round(100 * time.Millisecond)
}

// list formats "a, b and c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
