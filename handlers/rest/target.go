package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gavel/events"
)

// resource is a kind of thing that a path names; its text is a metric label.
type resource string

const (
	unknown      resource = "unknown"
	conferences  resource = "conferences"
	conference   resource = "conference"
	participants resource = "participants"
	participant  resource = "participant"
	recordings   resource = "recordings"
	recording    resource = "recording"
)

// target is what a path names.
type target struct {
	resource resource
	// path is the path as received, with ".json", for the URIs of pages and for Twilio.
	path string
	// account and conference are SIDs in canonical letter case; conference is
	// empty if the path has something else in its place, which is then the name of the room.
	account, conference, room string
	// member is the last element below participants or recordings: a SID, a
	// participant's label, or Twilio.CURRENT for the running recording.
	member string
}

// jsonSuffix ends the paths of Twilio's clients.
const jsonSuffix = ".json"

// parseTarget parses an escaped path; false means that it names nothing. Each
// element is decoded by itself, because labels may contain spaces, "|", "%" and
// any other character; "+" is a plus in a path.
//
// A path without ".json" names the same resource. Twilio answers it in XML, but requests that are
// written by hand often lack the suffix. Gavel answers JSON, and asks Twilio for JSON.
func parseTarget(escaped string) (target, bool) {
	t := target{resource: unknown, path: escaped}
	rest, ours := strings.CutPrefix(escaped, Prefix+"Accounts/")
	if !ours {
		return t, false
	}
	rest = strings.TrimSuffix(rest, jsonSuffix)
	t.path = Prefix + "Accounts/" + rest + jsonSuffix
	parts := strings.Split(rest, "/")
	for i, p := range parts {
		decoded, err := url.PathUnescape(p)
		if err != nil || decoded == "" || decoded == "." || decoded == ".." {
			return t, false
		}
		parts[i] = decoded
	}
	if len(parts) < 2 || len(parts) > 5 || !events.IsSid("AC", parts[0]) || parts[1] != "Conferences" {
		return t, false
	}
	t.account = events.CanonicalSid(parts[0])
	return t.below(parts[2:])
}

// below parses what follows ".../Conferences".
func (t target) below(parts []string) (target, bool) {
	if len(parts) == 0 {
		t.resource = conferences
		return t, true
	}
	if events.IsSid("CF", parts[0]) {
		t.conference = events.CanonicalSid(parts[0])
	} else {
		t.room = parts[0]
	}
	if len(parts) == 1 {
		t.resource = conference
		return t, true
	}
	list, one := participants, participant
	switch parts[1] {
	case "Participants":
	case "Recordings":
		list, one = recordings, recording
	default:
		return t, false
	}
	if len(parts) == 2 {
		t.resource = list
		return t, true
	}
	t.resource, t.member = one, parts[2]
	return t, true
}

// methods are those that a resource supports (Twilio, Conference, Participant
// and Conference Recording resources).
var methods = map[resource][]string{
	conferences:  {http.MethodGet, http.MethodHead},
	conference:   {http.MethodGet, http.MethodHead, http.MethodPost},
	participants: {http.MethodGet, http.MethodHead, http.MethodPost},
	participant:  {http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete},
	recordings:   {http.MethodGet, http.MethodHead},
	recording:    {http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete},
}

// allows returns nil if the target supports the method. Only a request that adds a participant may
// name the room instead of the conference: it creates a missing conference.
func (t target) allows(method string) error {
	allowed := methods[t.resource]
	switch {
	case t.resource == recordings && method == http.MethodPost:
		return notAllowed("Method not allowed: Twilio's API starts no recording of an existing conference;"+
			" set record in its TwiML, or ConferenceRecord when you add a participant", allowed...)
	case !slices.Contains(allowed, method):
		return notAllowed("Method not allowed", allowed...)
	case t.conference != "", t.resource == conferences, t.resource == participants && method == http.MethodPost:
		return nil
	}
	return notAllowed("Method not allowed: name the conference by its SID (CF...), not by its friendly name")
}
