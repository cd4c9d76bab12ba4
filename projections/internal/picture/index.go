package picture

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"gavel/events"
	"gavel/projections"
)

// indexNames returns the names of the indexes that hold c.
func indexNames(c *projections.Conference) []string {
	names := make([]string, 0, 4)
	names = append(names, allIndex, statusIndex(c.Status()), nameIndex(c.FriendlyName.Value))
	if c.Waiting() { // as Twilio's API can show it
		names = append(names, statusIndex(projections.StatusInProgress))
	}
	if day(c.Created) != day(c.Updated) {
		names = append(names, crossedIndex)
	}
	return names
}

// day is the number of UTC days since 1970.
func day(i projections.Instant) int64 { return int64(i) / secondsPerDay }

const secondsPerDay = 24 * 60 * 60

// updateIndexes adds the commands that change the indexes from before to after;
// nil stands for no record.
func (c *Change) updateIndexes(s space, before, after *projections.Conference) {
	if before != nil && after != nil && sameIndexes(before, after) {
		return
	}
	var was, is []string
	if before != nil {
		was = indexNames(before)
	}
	if after != nil {
		is = indexNames(after)
	}
	for _, name := range was {
		if !slices.Contains(is, name) {
			c.do(RemoveMember, s.index(before.AccountSid, name), before.ConferenceSid)
		}
	}
	for _, name := range is {
		if !slices.Contains(was, name) || before.Created != after.Created {
			c.do(AddMember, s.index(after.AccountSid, name), score(after.Created), after.ConferenceSid)
		}
	}
	if before == nil {
		c.do(AddMember, s.accounts(), score(0), after.AccountSid)
	}
}

// updateDue adds the command that changes the shard's deadlines from before to
// after, which are values of Book.Due.
func (c *Change) updateDue(s space, of *projections.Conference, before, after int64) {
	switch {
	case before == after:
	case after == 0:
		c.do(RemoveMember, s.due(), dueMember(of))
	default:
		c.do(AddMember, s.due(), strconv.FormatInt(after, 10), dueMember(of))
	}
}

// dueMember identifies a conference across all accounts.
func dueMember(c *projections.Conference) string { return c.AccountSid + ":" + c.ConferenceSid }

// dueOf reads a deadline that updateDue wrote.
func dueOf(r Ref) projections.Due {
	account, conference, _ := strings.Cut(r.Member, ":")
	return projections.Due{
		Key: events.Key{AccountSid: account, ConferenceSid: conference},
		At:  time.UnixMilli(r.Score).UTC(),
	}
}

func score(created projections.Instant) string { return strconv.FormatInt(int64(created), 10) }

// sameIndexes avoids building names in the common case, an event that changes no index.
func sameIndexes(before, after *projections.Conference) bool {
	return before.Created == after.Created &&
		before.FriendlyName.Value == after.FriendlyName.Value &&
		(day(before.Created) != day(before.Updated)) == (day(after.Created) != day(after.Updated)) &&
		before.Status() == after.Status() && before.Waiting() == after.Waiting()
}
