package events

import "strings"

// foreign are the marks of callbacks that are not about a conference, and the kind that each
// shows; the first that is there decides (Twilio: Call, Recording, Message, Task and Room
// resources, tables of status callback parameters).
var foreign = []struct{ name, kind string }{
	{"RecordingSid", "recording"}, {"TranscriptionSid", "transcription"},
	{"MessageSid", "message"}, {"SmsSid", "message"}, {"RoomSid", "video"},
	{"TaskSid", "taskrouter"}, {"WorkerSid", "taskrouter"}, {"WorkspaceSid", "taskrouter"}, {"CallSid", "call"},
}

// ForeignKinds returns the words that Foreign returns, for labels.
func ForeignKinds() []string {
	return []string{"call", "recording", "transcription", "message", "taskrouter", "video", "other"}
}

// Foreign reports whether a genuine callback is not about a conference, and one word for what it is
// about. It has no ConferenceSid, no text or name where one could be hidden, and no
// event of a conference: that one without its ConferenceSid is out of form.
func Foreign(params Params) (kind string, ok bool) {
	kind = "other"
	for _, p := range params {
		place, known := parameterNamed(p.Name)
		switch {
		case p.Name == "ConferenceSid", known && parameters[place].form == formEvent && ofConference(p.Value):
			return "", false
		case hides(p.Name+p.Value, len(p.Name)+len(p.Value), 1<<pConferenceSid, 0):
			return "", false
		}
	}
	for _, mark := range foreign {
		if _, there := params.Lookup(mark.name); there {
			return mark.kind, true
		}
	}
	return kind, true
}

// ofConference reports whether the name of an event is one of a conference's. Twilio Video has
// events that begin with participant- too.
func ofConference(event string) bool {
	return shapes[Kind(event)] != nil || strings.HasPrefix(event, "conference-") || strings.HasPrefix(event, "announcement-") ||
		strings.HasPrefix(event, ownPrefix)
}
