package bus

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"gavel/internal/format"
)

// ErrRefused means that a stream has settings with which Gavel does not run.
var ErrRefused = errors.New("refuse to run on this stream")

func refusal(stream string, why error) error {
	return fmt.Errorf("check %s: %w: %w", stream, ErrRefused, why)
}

// check finds a setting with which a stream would not serve its purpose.
type check struct {
	why string
	bad func(jetstream.StreamConfig) bool
}

// checksOf holds the checks by stream. Dead letters and buckets are not checked.
var checksOf = map[string][]check{
	journalStream: slices.Concat(keeping, whole, onSubjects(journalPrefix+"*"), []check{
		{"it has a maximum of messages per subject", func(c jetstream.StreamConfig) bool { return c.MaxMsgsPerSubject > 0 }},
		{"its maximum message size is too small for a group", smallerThan(maxMessage)},
	}),
	actionsStream: slices.Concat(keeping, whole, onSubjects(actionsPrefix+"*.*.*", servedPrefix+"*.*.*"), []check{
		{"it would not keep exactly one message per subject", func(c jetstream.StreamConfig) bool { return c.MaxMsgsPerSubject != 1 || !c.DiscardNewPerSubject }},
		{"its maximum message size is too small for a decision", smallerThan(maxDecision)},
	}),
	timersStream: slices.Concat(keeping, scheduling, onSubjects(timersAtPrefix+"*.*.*", timersDuePrefix+"*.*.*")),
	laterStream: slices.Concat(keeping, scheduling, onSubjects(laterAtPrefix+"*.*.*", laterDuePrefix+"*.*.*"), []check{
		{"its persist mode is async: deferred decisions would be lost with the process", isAsync},
	}),
	eventsStream: {
		{"its duplicate window is shorter than " + newsDuplicates.String(), func(c jetstream.StreamConfig) bool { return c.Duplicates < newsDuplicates }},
		{"it would refuse or not acknowledge news: no_ack, sealed, or discard new", func(c jetstream.StreamConfig) bool {
			return c.NoAck || c.Sealed || c.Discard != jetstream.DiscardOld
		}},
		{"it has a maximum of messages per subject", func(c jetstream.StreamConfig) bool { return c.MaxMsgsPerSubject > 0 }},
	},
}

// keeping finds settings with which a stream would lose, change or refuse messages.
var keeping = []check{
	{"it has a maximum age: a clock that jumps would empty it", func(c jetstream.StreamConfig) bool { return c.MaxAge != 0 }},
	{"it has a maximum of messages", func(c jetstream.StreamConfig) bool { return c.MaxMsgs > 0 }},
	{"it is not in file storage", func(c jetstream.StreamConfig) bool { return c.Storage != jetstream.FileStorage }},
	{"it allows messages to expire", func(c jetstream.StreamConfig) bool { return c.AllowMsgTTL || c.SubjectDeleteMarkerTTL != 0 }},
	{"it does not acknowledge", func(c jetstream.StreamConfig) bool { return c.NoAck }},
	{"it is sealed", func(c jetstream.StreamConfig) bool { return c.Sealed }},
	{"it is a mirror or has sources", func(c jetstream.StreamConfig) bool { return c.Mirror != nil || len(c.Sources) > 0 }},
	{"it transforms subjects", func(c jetstream.StreamConfig) bool { return c.SubjectTransform != nil }},
}

// whole finds settings with which a stream would not keep every message.
var whole = []check{
	{"discard policy is not new: a full stream would drop its oldest messages", func(c jetstream.StreamConfig) bool { return c.Discard != jetstream.DiscardNew }},
	{"retention is not limits: consumers would remove messages", func(c jetstream.StreamConfig) bool { return c.Retention != jetstream.LimitsPolicy }},
	{"it allows rollups", func(c jetstream.StreamConfig) bool { return c.AllowRollup }},
	{"it allows messages to be deleted", func(c jetstream.StreamConfig) bool { return !c.DenyDelete }},
	{"it allows counters or schedules", func(c jetstream.StreamConfig) bool { return c.AllowMsgCounter || c.AllowMsgSchedules }},
	{"its persist mode is async: acknowledged messages would be lost with the process", isAsync},
}

// scheduling finds settings with which alarms would not be delivered, or be lost.
var scheduling = []check{
	{"it does not allow schedules", func(c jetstream.StreamConfig) bool { return !c.AllowMsgSchedules }},
	{"retention is not work queue: due messages would stay for ever, or be removed before they are delivered", func(c jetstream.StreamConfig) bool { return c.Retention != jetstream.WorkQueuePolicy }},
	{"it would not keep exactly one message per subject", func(c jetstream.StreamConfig) bool { return c.MaxMsgsPerSubject != 1 }},
	{"it has a maximum of bytes: a full one would drop alarms", func(c jetstream.StreamConfig) bool { return c.MaxBytes > 0 }},
	{"it denies rollups or purges, which the server needs to replace and remove schedules", func(c jetstream.StreamConfig) bool { return !c.AllowRollup || c.DenyPurge }},
}

func isAsync(c jetstream.StreamConfig) bool { return c.PersistMode != jetstream.DefaultPersistMode }

func smallerThan(size int32) func(jetstream.StreamConfig) bool {
	return func(c jetstream.StreamConfig) bool { return c.MaxMsgSize > 0 && c.MaxMsgSize < size }
}

func onSubjects(subjects ...string) []check {
	return []check{{fmt.Sprintf("its subjects are not %q", subjects), func(c jetstream.StreamConfig) bool {
		return !slices.Equal(c.Subjects, subjects)
	}}}
}

// checkStream returns every reason why Gavel refuses to run on a stream.
func checkStream(have jetstream.StreamConfig, want Config) error {
	var faults []error
	for _, c := range checksOf[have.Name] {
		if c.bad(have) {
			faults = append(faults, errors.New(c.why))
		}
	}
	if have.Name == journalStream {
		if _, err := checkLanes(have, want); err != nil {
			faults = append(faults, err)
		}
		if err := format.Check(have.Metadata[format.MetadataKey]); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return refusal(have.Name, errors.Join(faults...))
}

// checkLanes compares the journal's number of lanes with the configured one: with another number
// conferences would change lanes, and two projectors would process the same conference.
func checkLanes(journal jetstream.StreamConfig, c Config) (int, error) {
	have, want := journal.Metadata[metadataLanes], c.Lanes
	n, err := strconv.Atoi(have)
	if err != nil || n < 1 || n > MaxLanes {
		return 0, fmt.Errorf("its metadata %q says %q lanes", metadataLanes, have)
	}
	if want != 0 && want != n {
		return 0, fmt.Errorf("it was made with %d lanes and %d are configured; the number is fixed when the journal is created", n, want)
	}
	return n, nil
}
