package bus

import (
	"strconv"
	"strings"

	"gavel/events"
)

// Streams, and the bucket of API keys. All are file storage, replicas 1
// embedded and 3 external.
const (
	// journalStream is what we were told, in groups of entries: the truth.
	journalStream = "GAVEL_JOURNAL"
	// eventsStream is what it meant, each fact once: the public contract.
	eventsStream = "GAVEL_EVENTS"
	// deadLettersStream keeps what was genuine and could not go on.
	deadLettersStream = "GAVEL_DEADLETTERS"
	// keysBucket holds the API keys, hashed.
	keysBucket = "GAVEL_KEYS"
)

// Subjects.
const (
	// gavel.journal.<lane>
	journalPrefix = "gavel.journal."
	// gavel.events.<AccountSid>.<ConferenceSid>.<event>
	eventsPrefix = "gavel.events."
	// gavel.dead.<kind>.<AccountSid>
	deadPrefix = "gavel.dead."
	// _INBOX.<unique>.<ticket>: where acknowledgements of news come back.
	anyTicket = "*"
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
)

// Headers.
const (
	// headerPosition is where the journal holds a fact: <lane>/<seq>.<index>.
	headerPosition    = "Gavel-Position"
	headerContentType = "Content-Type"
	contentCloudEvent = "application/cloudevents+json"

	// headerUUID and headerMetadata carry watermill's message identity and
	// metadata (as one JSON object, so that any text passes).
	headerUUID     = "Gavel-Message-Uuid"
	headerMetadata = "Gavel-Message-Metadata"

	// NATS's own.
	headerMsgID          = "Nats-Msg-Id"
	headerExpectedStream = "Nats-Expected-Stream"
	headerPinID          = "Nats-Pin-Id"
	headerBatchID        = "Nats-Batch-Id"
	headerBatchSequence  = "Nats-Batch-Sequence"
	headerBatchCommit    = "Nats-Batch-Commit"
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

// durableName is the name of a group's consumer on a topic. Names of consumers
// hold neither dots nor wildcards.
func durableName(group, topic string) string {
	return group + "-" + strings.NewReplacer(".", "_", "*", "any", ">", "all").Replace(topic)
}

// positionHeader writes "<lane>/<seq>.<index>".
func positionHeader(n *events.News) string {
	return strconv.Itoa(n.Lane) + "/" + n.Position.String()
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
