package bus

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"gavel/events"
)

// Streams and buckets, in file storage, with 1 replica embedded and 3 external.
const (
	// journalStream is all that Gavel received, in groups of entries. All else derives from it.
	journalStream = "GAVEL_JOURNAL"
	// eventsStream is the news, each fact once: the public contract.
	eventsStream = "GAVEL_EVENTS"
	// deadLettersStream keeps genuine messages that could not be processed.
	deadLettersStream = "GAVEL_DEADLETTERS"
	// actionsStream keeps every decision of a rule and every served announcement, once
	// and for ever.
	actionsStream = "GAVEL_ACTIONS"
	// timersStream delivers when a conference is to be judged again.
	timersStream = "GAVEL_TIMERS"
	// laterStream delivers when a decision is to be performed again. It is not part of
	// timersStream, because a lost deferral could not be restored.
	laterStream = "GAVEL_LATER"
	// keysBucket holds the API keys, hashed.
	keysBucket = "GAVEL_KEYS"
	// rulesBucket holds the rule sets and which one is in force.
	rulesBucket = "GAVEL_RULES"
	// brakesBucket holds the state of the brakes, and the stop.
	brakesBucket = "GAVEL_BRAKES"
	// roomKey of brakesBucket is written to find out whether NATS has storage left.
	roomKey = "room"
	// stopKey and ledgerKey of brakesBucket are those of internal/brakes, activeKey and setPrefix of
	// rulesBucket are those of internal/rulebook. The bus guards them against damage.
	stopKey   = "stop"
	ledgerKey = "admissions"
	activeKey = "active"
	setPrefix = "set."
	// horizonKey of brakesBucket is up to where decisions were removed.
	horizonKey = "decisions"
	// metadataGuarded in the journal's metadata means that the buckets were adopted by jet.Guarded.
	metadataGuarded = "gavel.guarded"

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
	// gavel.timers.at.<lane>.<AccountSid>.<ConferenceSid>: alarms that are set.
	timersAtPrefix = "gavel.timers.at."
	// gavel.timers.due.<lane>.<AccountSid>.<ConferenceSid>: due alarms.
	timersDuePrefix = "gavel.timers.due."
	// gavel.later.at.<AccountSid>.<ConferenceSid>.<id>: deferred decisions.
	laterAtPrefix = "gavel.later.at."
	// gavel.later.due.<AccountSid>.<ConferenceSid>.<id>: deferred decisions that are due.
	laterDuePrefix = "gavel.later.due."
	// noToken stands for a missing account or conference.
	noToken = "-"
	// projectorsSubject carries the heartbeats of projectors. No stream stores it.
	projectorsSubject = "gavel.projectors"
)

// Durable consumers, and the priority group that gives a lane one owner.
const (
	// project-<lane> of GAVEL_JOURNAL
	projectPrefix = "project-"
	projectGroup  = "projector"
	// deadLettersGroup counts and logs each dead letter once.
	deadLettersGroup = "deadletters"
	// timersConsumer of GAVEL_TIMERS and laterConsumer of GAVEL_LATER share due messages
	// among all processes.
	timersConsumer = "rings"
	laterConsumer  = "dues"
)

// Headers.
const (
	// headerPosition is the position of a fact in the journal: <lane>/<seq>.<index>.
	headerPosition = "Gavel-Position"
	// headerRule and headerAsOf are a decision's rule and time.
	headerRule        = "Gavel-Rule"
	headerAsOf        = "Gavel-As-Of"
	headerContentType = "Content-Type"
	contentCloudEvent = "application/cloudevents+json"

	// Defined by NATS.
	headerMsgID          = "Nats-Msg-Id"
	headerExpectedStream = "Nats-Expected-Stream"
	headerExpectedLast   = "Nats-Expected-Last-Subject-Sequence"
	headerSchedule       = "Nats-Schedule"
	headerScheduleTarget = "Nats-Schedule-Target"
	headerPinID          = "Nats-Pin-Id"
)

// metadataLanes is the key in the journal's stream metadata that holds the number of lanes.
const metadataLanes = "gavel.lanes"

func journalSubject(lane int) string { return journalPrefix + strconv.Itoa(lane) }

func projectConsumer(lane int) string { return projectPrefix + strconv.Itoa(lane) }

func newsSubject(n *events.News) string {
	return eventsPrefix + n.Key.AccountSid + "." + n.Key.ConferenceSid + "." + n.Kind.Token()
}

// conferenceSubjects matches all news of a conference; an empty argument matches any.
func conferenceSubjects(account, conference string) string {
	return eventsPrefix + orAny(account) + "." + orAny(conference) + ".*"
}

func orAny(token string) string { return cmp.Or(token, "*") }

func deadSubject(d *events.DeadLetter) string {
	return deadPrefix + events.Kind(d.Kind).Token() + "." + accountToken(d.AccountSid)
}

// accountToken keeps an unverified account from changing the subject's structure.
func accountToken(sid string) string {
	if !events.IsSid("AC", sid) {
		return "unknown"
	}
	return events.CanonicalSid(sid)
}

// keyTokens are the two tokens of a subject that name a conference; both may be missing.
func keyTokens(key events.Key) string {
	return cmp.Or(key.AccountSid, noToken) + "." + cmp.Or(key.ConferenceSid, noToken)
}

// keyOfTokens parses the tokens of keyTokens.
func keyOfTokens(account, conference string) events.Key {
	return events.Key{AccountSid: noneToEmpty(account), ConferenceSid: noneToEmpty(conference)}
}

func noneToEmpty(token string) string {
	if token == noToken {
		return ""
	}
	return token
}

// errToken does not show the token, because it may be user input.
var errToken = fmt.Errorf("%w: not a token of a subject", events.ErrMalformed)

// checkID is checkTokens for a decision's key and id; the id must not be empty.
func checkID(key events.Key, id string) error {
	if id == "" {
		return errToken
	}
	return checkTokens(key.AccountSid, key.ConferenceSid, id)
}

// checkTokens refuses names that change a subject's structure: a wildcard would read
// another account's messages. A token may be empty.
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

// splitIDSubject parses a subject of idSubject.
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

// keyOfDue parses the conference from the subject of a due alarm.
func keyOfDue(subject string) (events.Key, bool) {
	rest, ok := strings.CutPrefix(subject, timersDuePrefix)
	words := strings.Split(rest, ".")
	if !ok || len(words) != 3 {
		return events.Key{}, false
	}
	return keyOfTokens(words[1], words[2]), true
}

// positionHeader formats "<lane>/<seq>.<index>".
func positionHeader(lane int, at events.Position) string {
	return strconv.Itoa(lane) + "/" + at.String()
}

// parsePosition parses a value of positionHeader.
func parsePosition(s string) (lane int, at events.Position, err error) {
	head, tail, _ := strings.Cut(s, "/")
	if lane, err = strconv.Atoi(head); err != nil {
		return 0, at, err
	}
	at, err = events.ParsePosition(tail)
	return lane, at, err
}
