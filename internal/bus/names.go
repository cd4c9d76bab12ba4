package bus

import (
	"fmt"
	"strconv"
	"strings"

	"gavel/events"
)

// Streams and buckets. All are file storage, replicas 1 embedded and 3
// external.
const (
	// journalStream is what we were told, in groups of entries: the truth.
	journalStream = "GAVEL_JOURNAL"
	// eventsStream is what it meant, each fact once: the public contract.
	eventsStream = "GAVEL_EVENTS"
	// deadLettersStream keeps what was genuine and could not go on.
	deadLettersStream = "GAVEL_DEADLETTERS"
	// actionsStream keeps every decision of a rule once, for ever, and that an
	// announcement was served.
	actionsStream = "GAVEL_ACTIONS"
	// timersStream rings when a conference is to be judged again.
	timersStream = "GAVEL_TIMERS"
	// laterStream rings when a decision is to be performed again. It is apart
	// from the timers because nobody could set a lost one again.
	laterStream = "GAVEL_LATER"
	// keysBucket holds the API keys, hashed.
	keysBucket = "GAVEL_KEYS"
	// rulesBucket holds the sets of rules and says which is in force.
	rulesBucket = "GAVEL_RULES"
	// brakesBucket holds what rules were let do, what tripped, and the stop.
	brakesBucket = "GAVEL_BRAKES"
	// roomKey of that bucket is written to find out whether there is storage left.
	roomKey = "room"

	// bucketPrefix begins the name of a bucket's stream.
	bucketPrefix = "KV_"
)

// Subjects.
const (
	// gavel.journal.<lane>
	journalPrefix = "gavel.journal."
	// gavel.events.<AccountSid>.<ConferenceSid>.<event>
	eventsPrefix = "gavel.events."
	// gavel.dead.<kind>.<AccountSid>
	deadPrefix = "gavel.dead."
	// gavel.actions.<AccountSid>.<ConferenceSid>.<id>
	actionsPrefix = "gavel.actions."
	// gavel.served.<AccountSid>.<ConferenceSid>.<id>
	servedPrefix = "gavel.served."
	// gavel.timers.at.<lane>.<AccountSid>.<ConferenceSid>: what is to ring.
	timersAtPrefix = "gavel.timers.at."
	// gavel.timers.due.<lane>.<AccountSid>.<ConferenceSid>: what rang.
	timersDuePrefix = "gavel.timers.due."
	// gavel.later.at.<AccountSid>.<ConferenceSid>.<id>: what is to be tried again.
	laterAtPrefix = "gavel.later.at."
	// gavel.later.due.<AccountSid>.<ConferenceSid>.<id>: what it is time for.
	laterDuePrefix = "gavel.later.due."
	// noToken stands for an account or a conference that there is none of.
	noToken = "-"
	// projectorsSubject is where projectors tell each other that they are there
	// and which lanes they hold. No stream keeps it.
	projectorsSubject = "gavel.projectors"
)

// Durable consumers, and the priority group by which a lane has one owner.
const (
	// project-<lane> of GAVEL_JOURNAL
	projectPrefix = "project-"
	projectGroup  = "projector"
	// deadLettersGroup counts and logs each dead letter once.
	deadLettersGroup = "deadletters"
	// ringsConsumer of GAVEL_TIMERS and duesConsumer of GAVEL_LATER share what
	// rang among all processes.
	ringsConsumer = "rings"
	duesConsumer  = "dues"
)

// Headers.
const (
	// headerPosition is where the journal holds a fact: <lane>/<seq>.<index>.
	headerPosition = "Gavel-Position"
	// headerRule and headerAsOf say of a decision whose it is and when it was
	// taken.
	headerRule        = "Gavel-Rule"
	headerAsOf        = "Gavel-As-Of"
	headerContentType = "Content-Type"
	contentCloudEvent = "application/cloudevents+json"

	// NATS's own.
	headerMsgID          = "Nats-Msg-Id"
	headerExpectedStream = "Nats-Expected-Stream"
	headerExpectedLast   = "Nats-Expected-Last-Subject-Sequence"
	headerSchedule       = "Nats-Schedule"
	headerScheduleTarget = "Nats-Schedule-Target"
	headerPinID          = "Nats-Pin-Id"
)

// metadataLanes is the key in the journal's stream metadata that fixes the
// number of its lanes.
const metadataLanes = "gavel.lanes"

func journalSubject(lane int) string { return journalPrefix + strconv.Itoa(lane) }

func projectConsumer(lane int) string { return projectPrefix + strconv.Itoa(lane) }

func newsSubject(n *events.News) string {
	return eventsPrefix + n.Key.AccountSid + "." + n.Key.ConferenceSid + "." + n.Kind.Token()
}

// conferenceSubjects matches all news of a conference; an empty part matches
// any.
func conferenceSubjects(account, conference string) string {
	return eventsPrefix + orAny(account) + "." + orAny(conference) + ".*"
}

func orAny(token string) string {
	if token == "" {
		return "*"
	}
	return token
}

func deadSubject(d *events.DeadLetter) string {
	return deadPrefix + events.Kind(d.Kind).Token() + "." + accountToken(d.AccountSid)
}

// accountToken keeps an account that nobody could verify from bending the
// subject.
func accountToken(sid string) string {
	if !events.IsSid("AC", sid) {
		return "unknown"
	}
	return events.CanonicalSid(sid)
}

// keyTokens are the two words of a subject that name a conference; both may be
// missing.
func keyTokens(key events.Key) string {
	return orNone(key.AccountSid) + "." + orNone(key.ConferenceSid)
}

func orNone(token string) string {
	if token == "" {
		return noToken
	}
	return token
}

// keyOfTokens reads what keyTokens wrote.
func keyOfTokens(account, conference string) events.Key {
	return events.Key{AccountSid: noneToEmpty(account), ConferenceSid: noneToEmpty(conference)}
}

func noneToEmpty(token string) string {
	if token == noToken {
		return ""
	}
	return token
}

// errToken never shows the word: it may be what somebody typed.
var errToken = fmt.Errorf("%w: not a word of a subject", events.ErrMalformed)

// checkID is checkTokens of a decision's name.
func checkID(key events.Key, id string) error {
	if id == "" {
		return errToken
	}
	return checkTokens(key.AccountSid, key.ConferenceSid, id)
}

// checkTokens lets no name from outside bend a subject: a wildcard would read
// what belongs to somebody else. An empty one is none.
func checkTokens(tokens ...string) error {
	for _, token := range tokens {
		if len(token) > maxToken || strings.ContainsFunc(token, notInToken) {
			return errToken
		}
	}
	return nil
}

// maxToken is longer than any SID or id.
const maxToken = 64

func notInToken(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-'
}

// idSubject is <prefix><AccountSid>.<ConferenceSid>.<id>.
func idSubject(prefix string, key events.Key, id string) string {
	return prefix + keyTokens(key) + "." + id
}

// splitIDSubject reads what idSubject wrote.
func splitIDSubject(prefix, subject string) (key events.Key, id string, ok bool) {
	rest, ok := strings.CutPrefix(subject, prefix)
	words := strings.Split(rest, ".")
	if !ok || len(words) != 3 {
		return events.Key{}, "", false
	}
	return keyOfTokens(words[0], words[1]), words[2], true
}

// alarmSubject is <prefix><lane>.<AccountSid>.<ConferenceSid>.
func alarmSubject(prefix string, lane int, key events.Key) string {
	return prefix + strconv.Itoa(lane) + "." + keyTokens(key)
}

// keyOfRing reads the conference off the subject of what rang.
func keyOfRing(subject string) (events.Key, bool) {
	rest, ok := strings.CutPrefix(subject, timersDuePrefix)
	words := strings.Split(rest, ".")
	if !ok || len(words) != 3 {
		return events.Key{}, false
	}
	return keyOfTokens(words[1], words[2]), true
}

// positionHeader writes "<lane>/<seq>.<index>".
func positionHeader(lane int, at events.Position) string {
	return strconv.Itoa(lane) + "/" + at.String()
}

// parsePosition reads what positionHeader wrote.
func parsePosition(s string) (lane int, at events.Position, err error) {
	head, tail, _ := strings.Cut(s, "/")
	if lane, err = strconv.Atoi(head); err != nil {
		return 0, at, err
	}
	at, err = events.ParsePosition(tail)
	return lane, at, err
}
