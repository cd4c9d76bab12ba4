package picture

import (
	"slices"
	"strconv"

	"gavel/events"
	"gavel/projections"
)

// indexNames are the indexes that c belongs in.
func indexNames(c *projections.Conference) []string {
	names := make([]string, 0, 4)
	names = append(names, allIndex, statusIndex(c.Status()), nameIndex(c.FriendlyName.Value))
	if day(c.Created) != day(c.Updated) {
		names = append(names, crossedIndex)
	}
	return names
}

// day counts UTC days since 1970.
func day(i projections.Instant) int64 { return int64(i) / secondsPerDay }

const secondsPerDay = 24 * 60 * 60

// reindex returns the commands that bring the indexes from before to after;
// nil is no record.
func reindex(s space, before, after *projections.Conference) []Command {
	if before == nil && after == nil || sameIndexes(before, after) {
		return nil
	}
	var was, is []string
	var commands []Command
	if before != nil {
		was = indexNames(before)
	}
	if after != nil {
		is = indexNames(after)
	}
	for _, name := range was {
		if !slices.Contains(is, name) {
			commands = append(commands, unindex(s, before, name))
		}
	}
	for _, name := range is {
		if !slices.Contains(was, name) || before.Created != after.Created {
			commands = append(commands, index(s, after, name))
		}
	}
	if before == nil {
		commands = append(commands, Command{AddMember, s.accounts(), []string{"0", after.AccountSid}})
	}
	return commands
}

// sameIndexes spares the common case, an event that changes no index, the
// building of names.
func sameIndexes(before, after *projections.Conference) bool {
	return before != nil && after != nil &&
		before.Created == after.Created &&
		before.FriendlyName.Value == after.FriendlyName.Value &&
		(day(before.Created) != day(before.Updated)) == (day(after.Created) != day(after.Updated)) &&
		before.Status() == after.Status()
}

func index(s space, c *projections.Conference, name string) Command {
	score := strconv.FormatInt(int64(c.Created), 10)
	return Command{AddMember, s.index(c.AccountSid, name), []string{score, c.ConferenceSid}}
}

func unindex(s space, c *projections.Conference, name string) Command {
	return Command{RemoveMember, s.index(c.AccountSid, name), []string{c.ConferenceSid}}
}

func keyOf(c *projections.Conference) events.Key {
	return events.Key{AccountSid: c.AccountSid, ConferenceSid: c.ConferenceSid}
}
