package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gavel/handlers/callback"
	"gavel/projections"
)

// day and month are the units of --keep. A month has 31 days, so that conferences are
// never removed early.
const (
	day   = 24 * time.Hour
	month = 31 * day
)

// parseAge reads "30d", "13 months" or a Go duration such as "72h".
func parseAge(text string) (time.Duration, error) {
	number, unit := cutNumber(text)
	n, err := strconv.ParseInt(number, 10, 32)
	length := time.Duration(n)
	switch unit {
	case "d", "day", "days":
		length *= day
	case "month", "months":
		length *= month
	default:
		length, err = time.ParseDuration(text)
	}
	if err != nil {
		return 0, fmt.Errorf("%q is not an age; write 30d, 13 months or 72h", text)
	}
	if length <= 0 {
		return 0, errors.New("must be positive")
	}
	return length, nil
}

func cutNumber(text string) (number, unit string) {
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	return text[:digits], strings.TrimSpace(text[digits:])
}

// listDefault is what a list of conferences shows if its query names no status: all, as
// Twilio's API did until 2026-09-30, or in-progress, as it has done since.
type listDefault string

// UnmarshalYAML reads "all" or "in-progress".
func (l *listDefault) UnmarshalYAML(unmarshal func(any) error) error {
	var word string
	if unmarshal(&word) != nil || word != "all" && word != projections.StatusInProgress {
		return valueError("rest.list_default must be all or in-progress")
	}
	*l = listDefault(word)
	return nil
}

func (l listDefault) status() string {
	if l == "all" {
		return ""
	}
	return string(l)
}

// speech is what the door does with speech events, the most frequent ones.
type speech struct{ callback.SpeechPolicy }

// UnmarshalYAML reads "keep", "drop" or {sample: 10}.
func (s *speech) UnmarshalYAML(unmarshal func(any) error) error {
	var word string
	if unmarshal(&word) == nil {
		switch word {
		case "keep":
			s.SpeechPolicy = callback.KeepSpeech
		case "drop":
			s.SpeechPolicy = callback.DropSpeech
		default:
			return valueError("door.speech must be keep, drop or {sample: N}")
		}
		return nil
	}
	var sampled struct {
		Sample int `yaml:"sample"`
	}
	if err := unmarshal(&sampled); err != nil {
		return err
	}
	if sampled.Sample < 1 {
		return valueError("door.speech.sample must be 1 or more")
	}
	s.SpeechPolicy = callback.SampleSpeech(sampled.Sample)
	return nil
}
