package events

import (
	"math/bits"
	"slices"
	"strings"
)

// shape is the parameters of one kind of callback, besides those that Twilio does not document.
type shape struct {
	// required must be there and not empty; optional may be there.
	required, optional set
	// gaps has the optional parameters that sort before the first required one, between the first
	// two, and so on, and behind the last: in Twilio's order of names they can be nowhere else.
	gaps []set
	// alone are the optional texts whose name is also a common word.
	alone set
}

// The parameters of the classes of callbacks (Twilio, TwiML Voice: <Conference>, tables of
// statusCallback and recordingStatusCallback). A real capture of a participant event has all five
// flags. Captures from before 2023 have no ReasonParticipantLeft, and older ones of a
// conference-end have Reason and no ReasonConferenceEnded.
var (
	alwaysThere = setOf(pAccountSid, pConferenceSid)
	numbered    = alwaysThere | setOf(pFriendlyName, pSequenceNumber, pTimestamp, pStatusCallbackEvent)
	flagsOfLeg  = setOf(pMuted, pHold, pCoaching, pEndConferenceOnExit, pStartConferenceOnEnter)
	leg         = setOf(pCallSid) | flagsOfLeg
	legLabel    = setOf(pParticipantLabel)
	leaving     = setOf(pParticipantCallStatus, pReasonParticipantLeft)
	announced   = leg | legLabel | setOf(pAnnounceURL)
	ending      = setOf(pReasonConferenceEnded, pReason, pCallSidEndingConference, pParticipantLabelEndingConference)
	recorded    = setOf(pRecordingURL, pRecordingDuration, pRecordingChannels, pRecordingStartTime, pRecordingSource, pCallSid, pErrorCode)
	recordEnded = setOf(pEventName, pFriendlyName, pSequenceNumber, pTimestamp, pDuration, pRecordingFileSize)
)

// shapes are the parameters of each kind that Twilio documents.
var shapes = map[Kind]*shape{
	ConferenceStart:        newShape(numbered, 0),
	ConferenceEnd:          newShape(numbered, ending),
	ParticipantJoin:        newShape(numbered|leg, legLabel),
	ParticipantLeave:       newShape(numbered|leg, legLabel|leaving),
	ParticipantMute:        newShape(numbered|leg, legLabel),
	ParticipantUnmute:      newShape(numbered|leg, legLabel),
	ParticipantHold:        newShape(numbered|leg, legLabel),
	ParticipantUnhold:      newShape(numbered|leg, legLabel),
	ParticipantModify:      newShape(numbered|leg, legLabel),
	ParticipantSpeechStart: newShape(numbered|leg, legLabel),
	ParticipantSpeechStop:  newShape(numbered|leg, legLabel),
	AnnouncementEnd:        newShape(numbered, announced),
	AnnouncementFail:       newShape(numbered, announced|setOf(pReasonAnnouncementFailed)),
	ConferenceRecordEnd:    newShape(alwaysThere|setOf(pRecordingURL), recordEnded),
}

// A recording's callback has the kind that its status names, and Twilio adds
// kinds without notice: an event of an unknown kind may have every parameter.
var (
	recordingShape = newShape(alwaysThere|setOf(pRecordingSid, pRecordingStatus), recorded)
	unknownShape   = newShape(numbered, 1<<parameterCount-1)
)

func newShape(required, optional set) *shape {
	s := &shape{required: required, optional: optional &^ required, gaps: make([]set, bits.OnesCount64(uint64(required))+1)}
	for place := range parameters {
		p := &parameters[place]
		if s.optional&(1<<place) == 0 {
			continue
		}
		gap := 0
		for other := range parameters {
			if required&(1<<other) != 0 && parameters[other].name < p.name {
				gap++
			}
		}
		s.gaps[gap] |= 1 << place
		if p.form == formText && !p.distinct {
			s.alone |= 1 << place
		}
	}
	return s
}

// clearTexts refuses a text that reads like a parameter that this kind of event may have and this
// one lacks. The signed text is a concatenation of names and values in the order of the names, so
// the form is checked as strictly as the signature. A missing parameter is looked for only between
// the required ones next to it: elsewhere its name and value were not signed as a parameter.
func (r *reading) clearTexts(s *shape) error {
	missing := s.optional &^ r.there
	if missing == 0 {
		return nil
	}
	var room [MaxParams]uint8
	sorted := r.byName(room[:0])
	gap, from := 0, 0
	for i := 0; i <= len(sorted); i++ {
		if i < len(sorted) && !r.isOneOf(s.required, sorted[i]) {
			continue
		}
		if wanted := s.gaps[gap] & missing; wanted != 0 {
			if err := r.clearGap(sorted[from:i], gap > 0, wanted, s); err != nil {
				return err
			}
		}
		gap, from = gap+1, i
	}
	return nil
}

// clearGap searches the parameters of one gap. The first one is the required one before
// it, if there is one, and only its value belongs to the gap.
func (r *reading) clearGap(sorted []uint8, valueOnly bool, wanted set, s *shape) error {
	if len(sorted) == 0 || valueOnly && len(sorted) == 1 && !r.isFree(sorted[0]) {
		return nil
	}
	text := r.signed(sorted)
	for k, i := range sorted {
		p, place := &r.params[i], r.places[i]
		name, value := text, text[len(p.Name):]
		text = value[len(p.Value):]
		switch {
		case place == unknownPlace:
			if opensAny(name, wanted) || hides(name[1:], len(p.Name)+len(p.Value)-1, wanted, s.alone) {
				return &FormError{Field: unknownField, Reason: "holds another parameter"}
			}
		case !(valueOnly && k == 0) && opensAny(name, wanted&longerThan[place]),
			parameters[place].free() && hides(value, len(p.Value), wanted, s.alone):
			return &FormError{Field: p.Name, Reason: "holds another parameter"}
		}
	}
	return nil
}

// isOneOf reports whether the parameter is in the set.
func (r *reading) isOneOf(s set, i uint8) bool { return s>>r.places[i]&1 != 0 }

// isFree reports whether the parameter's value can hold any text.
func (r *reading) isFree(i uint8) bool {
	return r.places[i] == unknownPlace || parameters[r.places[i]].free()
}

// free reports whether a value of this form can hold anything.
func (p *parameter) free() bool {
	return p.form == formText || p.form == formURL || p.form == formEvent || p.form == formName
}

// byName appends the indexes of the parameters in the order of their names.
// Inserting sixteen of them costs less than any general sort.
func (r *reading) byName(sorted []uint8) []uint8 {
	for i := range r.params {
		at := len(sorted)
		sorted = append(sorted, uint8(i))
		for ; at > 0 && r.params[sorted[at-1]].Name > r.params[i].Name; at-- {
			sorted[at] = sorted[at-1]
		}
		sorted[at] = uint8(i)
	}
	return sorted
}

// signed concatenates names and values as Twilio does to sign them.
func (r *reading) signed(sorted []uint8) string {
	size := 0
	for _, i := range sorted {
		size += len(r.params[i].Name) + len(r.params[i].Value)
	}
	var text strings.Builder
	text.Grow(size)
	for _, i := range sorted {
		text.WriteString(r.params[i].Name)
		text.WriteString(r.params[i].Value)
	}
	return text.String()
}

// longerThan are the parameters whose names begin with another's.
var longerThan = func() (table [parameterCount]set) {
	for place := range parameters {
		for longer := range parameters {
			if longer != place && strings.HasPrefix(parameters[longer].name, parameters[place].name) {
				table[place] |= 1 << longer
			}
		}
	}
	return table
}()

// opensAny reports whether text begins with one of the wanted parameters and a
// value. Any value of a text counts: a parameter's own name ends where it begins.
func opensAny(text string, wanted set) bool {
	for ; wanted != 0; wanted &= wanted - 1 {
		p := &parameters[bits.TrailingZeros64(uint64(wanted))]
		if rest, found := strings.CutPrefix(text, p.name); found && p.opens(rest) {
			return true
		}
	}
	return false
}

// hides reports whether one of the wanted parameters begins within the first bytes of text, as many
// as starts. A text whose name is also a common word counts only if what follows, within
// the same starts, cannot continue the word: a room may be called "Reasonable".
func hides(text string, starts int, wanted, alone set) bool {
	for i := 0; i < starts; i++ {
		if c := text[i]; c < 'A' || c > 'Z' {
			continue
		}
		if opensAny(text[i:], wanted&^alone) {
			return true
		}
		for words := wanted & alone; words != 0; words &= words - 1 {
			name := parameters[bits.TrailingZeros64(uint64(words))].name
			end := i + len(name)
			if end < starts && strings.HasPrefix(text[i:], name) && (text[end] < 'a' || text[end] > 'z') {
				return true
			}
		}
	}
	return false
}

// shapeOf returns the parameters of the event's kind.
func (r *reading) shapeOf(kind Kind, from Source) *shape {
	if from == SourceEventStream && streamed[kind] && r.there&(1<<pSequenceNumber) == 0 {
		return streamedShape
	}
	if s := shapes[kind]; s != nil {
		return s
	}
	if r.recording() {
		return recordingShape
	}
	return unknownShape
}

// MayHave reports whether an event of this kind must have the parameter that Twilio documents under
// that name, and whether it may have it. An event of an unknown kind may have all of them.
func (k Kind) MayHave(name string) (required, optional bool) {
	s := shapes[k]
	if s == nil && k.Recording() {
		s = recordingShape
	}
	if s == nil {
		s = unknownShape
	}
	place, known := parameterNamed(name)
	return known && s.required&(1<<place) != 0, known && s.optional&(1<<place) != 0
}

// DocumentedNames returns the names of the parameters that Twilio documents, sorted.
func DocumentedNames() []string {
	names := make([]string, parameterCount)
	for place := range parameters {
		names[place] = parameters[place].name
	}
	slices.Sort(names)
	return names
}
