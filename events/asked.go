package events

import "strings"

// maxAsked bounds the parameters that an action keeps, in bytes: all of fixed form
// that Twilio accepts in one request have about 900.
const maxAsked = 1024

// FixedForm returns the parameters of a request to Twilio that an action may keep, as a form in
// their order: those whose values come from a list of Twilio's. Everything that people fill in
// stays out of the journal: numbers, names, labels, URLs, SIP passwords. An invalid form gives "".
func FixedForm(form string) string {
	params, err := ParseForm(form, MaxParams)
	if err != nil {
		return ""
	}
	kept := params[:0]
	for _, p := range params {
		if fixedNames[p.Name] && fixedWords.all(p.Value, " ") {
			kept = append(kept, p)
		}
	}
	if text := kept.Encode(); len(text) <= maxAsked {
		return text
	}
	return ""
}

// isFixedForm reports whether FixedForm keeps all of a form as it is, without
// decoding it: the names and words that it keeps need no escapes.
func isFixedForm(form string) bool {
	for pair := range strings.SplitSeq(form, "&") {
		if name, value, _ := strings.Cut(pair, "="); !fixedNames[name] || !fixedWords.all(value, "+") {
			return false
		}
	}
	return len(form) <= maxAsked && strings.Count(form, "&") < MaxParams
}

// words is a set of words.
type words map[string]bool

func newWords(list string) words {
	w := words{}
	for word := range strings.FieldsSeq(list) {
		w[word] = true
	}
	return w
}

// all reports whether s consists of such words, one separator between them.
func (w words) all(s, separator string) bool {
	for word := range strings.SplitSeq(s, separator) {
		if !w[word] {
			return false
		}
	}
	return true
}

// fixedNames are the parameters whose values Twilio lists (Twilio, Conference,
// Participant and Conference Recording resources: create and update).
var fixedNames = newWords(`
	Status AnnounceMethod PauseBehavior
	Muted Hold HoldMethod WaitMethod Coaching Beep BeepOnExit
	StartConferenceOnEnter EndConferenceOnExit EarlyMedia
	Record ConferenceRecord ConferenceTrim Trim RecordingChannels RecordingTrack
	JitterBufferSize MachineDetection AmdStatusCallbackMethod
	StatusCallbackMethod StatusCallbackEvent
	ConferenceStatusCallbackMethod ConferenceStatusCallbackEvent
	RecordingStatusCallbackMethod RecordingStatusCallbackEvent
	ConferenceRecordingStatusCallbackMethod ConferenceRecordingStatusCallbackEvent`)

// fixedWords are all the values of these parameters.
var fixedWords = newWords(`
	true false GET POST
	init in-progress completed paused stopped absent failed skip silence
	onEnter onExit do-not-record record-from-start
	trim-silence do-not-trim mono dual inbound outbound both
	large medium small off Enable DetectMessageEnd
	initiated ringing answered started resumed
	start end join leave mute hold modify speaker announcement`)
