package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// role is one of the jobs that a process can have.
type role string

// The roles. Delivering has nothing to do yet; it is accepted so that a
// deployment can name it from the start.
const (
	roleDoor    role = "door"
	roleProject role = "project"
	roleAct     role = "act"
	roleServe   role = "serve"
	roleDeliver role = "deliver"
)

var allRoles = roles{roleDoor, roleProject, roleAct, roleServe, roleDeliver}

type roles []role

func (r roles) has(one role) bool { return slices.Contains(r, one) }

// String writes the roles as --roles reads them.
func (r roles) String() string {
	names := make([]string, len(r))
	for i := range r {
		names[i] = string(r[i])
	}
	return strings.Join(names, ",")
}

// parseRoles reads names separated by commas, or "all".
func parseRoles(text string) (roles, error) {
	if text == "all" {
		return allRoles, nil
	}
	var chosen roles
	for name := range strings.SplitSeq(text, ",") {
		one := role(strings.TrimSpace(name))
		if !allRoles.has(one) {
			return nil, fmt.Errorf("%q is none of %s", one, allRoles)
		}
		if !chosen.has(one) {
			chosen = append(chosen, one)
		}
	}
	return chosen, nil
}

// day and month are what --keep counts in. A month has 31 days, so that what is
// to be kept for months is never removed early.
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
		return 0, fmt.Errorf("%q is no age; write 30d, 13 months or 72h", text)
	}
	if length <= 0 {
		return 0, errors.New("has to be more than nothing")
	}
	return length, nil
}

func cutNumber(text string) (number, unit string) {
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	return text[:digits], strings.TrimSpace(text[digits:])
}

// speech is what the door does with the speech events, which flood: keep all,
// keep one of so many, or drop all.
type speech struct {
	drop bool
	// sample is how many become one; 0 and 1 keep all.
	sample int
}

// UnmarshalYAML reads "keep", "drop" or {sample: 10}.
func (s *speech) UnmarshalYAML(unmarshal func(any) error) error {
	var word string
	if unmarshal(&word) == nil {
		switch word {
		case "keep":
			*s = speech{}
		case "drop":
			*s = speech{drop: true}
		default:
			return valueError("door.speech is none of keep, drop, {sample: N}")
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
		return valueError("door.speech.sample has to be 1 or more")
	}
	*s = speech{sample: sampled.Sample}
	return nil
}
