package main

import (
	"regexp"
	"strings"
	"time"

	presets "gavel/examples/rules"
	"gavel/rules"
)

// demoHaste is how much faster the presets are in the demo: two minutes, after
// which a caller counts as left alone, are too long to watch a terminal.
const demoHaste = 20

// demoRules returns the presets, live and with shorter times.
func demoRules() ([]rules.File, error) {
	files := presets.Files()
	for i := range files {
		text, err := hasten(files[i].Text)
		if err != nil {
			return nil, err
		}
		files[i].Text = goLive(text)
	}
	return files, nil
}

// spans are the lengths of time in a rule file: those of its own keys, and those in conditions.
var spans = regexp.MustCompile(`(\b(?:for|wait|within|again): *|\bduration\(")([0-9][0-9a-z.]*)`)

// hasten divides every length of time by demoHaste. A rule's own keys accept only
// whole seconds, so theirs are rounded, to at least one second.
func hasten(text string) (string, error) {
	var fault error
	text = spans.ReplaceAllStringFunc(text, func(span string) string {
		parts := spans.FindStringSubmatch(span)
		length, err := time.ParseDuration(parts[2])
		if err != nil {
			fault = err
			return span
		}
		if length /= demoHaste; !strings.HasPrefix(parts[1], "duration") {
			length = max(length.Round(time.Second), time.Second)
		}
		return parts[1] + length.String()
	})
	return text, fault
}

// names match the first line of a rule.
var names = regexp.MustCompile(`(?m)^  - name: .*$`)

// goLive makes every rule live.
func goLive(text string) string {
	return names.ReplaceAllStringFunc(text, func(line string) string {
		return line + "\n" + strings.Repeat(" ", len("  - ")) + "mode: live"
	})
}
