package callback

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gavel/events"
)

// streamKinds are the types of items that no callback reports, and their kinds (Event Streams: "API
// request" and "Voice Insights" event types). Two pages of Twilio's name the
// summary of a participant differently.
var streamKinds = map[string]events.Kind{
	"com.twilio.voice.api-request.conference.modified":                  events.APIConferenceModified,
	"com.twilio.voice.api-request.conference-participant.created":       events.APIParticipantCreated,
	"com.twilio.voice.api-request.conference-participant.modified":      events.APIParticipantModified,
	"com.twilio.voice.api-request.conference-participant.deleted":       events.APIParticipantDeleted,
	"com.twilio.voice.insights.conference-summary.partial":              events.InsightsConferenceSummary,
	"com.twilio.voice.insights.conference-summary.complete":             events.InsightsConferenceSummary,
	"com.twilio.voice.insights.conference-participant-summary.partial":  events.InsightsParticipantSummary,
	"com.twilio.voice.insights.conference-participant-summary.complete": events.InsightsParticipantSummary,
	"com.twilio.voice.insights.participant-summary.partial":             events.InsightsParticipantSummary,
	"com.twilio.voice.insights.participant-summary.complete":            events.InsightsParticipantSummary,
}

// streamData is the data of such an item: a call of the API, or a summary.
type streamData struct {
	EventSid  string         `json:"eventSid"`
	Timestamp string         `json:"timestamp"`
	Request   map[string]any `json:"request"`
	Response  struct {
		Code json.Number `json:"responseCode"`
		Body string      `json:"responseBody"`
	} `json:"response"`
}

// streamed returns the entry of an item that no callback reports.
func (it *item) streamed(kind events.Kind, b *batch) (events.Entry, error) {
	if kind == events.InsightsConferenceSummary || kind == events.InsightsParticipantSummary {
		return it.summary(kind, b)
	}
	var data streamData
	if err := json.Unmarshal(it.Data, &data); err != nil {
		return events.Entry{}, errItem
	}
	parameters, _ := data.Request["parameters"].(map[string]any)
	url, _ := data.Request["url"].(string)
	account, conference, call := sidsOf(url)
	answered := answerOf(data.Response.Body)
	key := events.Key{
		AccountSid:    cmp.Or(account, text(parameters["AccountSid"]), text(answered["account_sid"]), b.accounts[0].Account.Sid),
		ConferenceSid: cmp.Or(conference, text(parameters["ConferenceSid"]), text(answered["conference_sid"])),
	}
	call = cmp.Or(call, text(parameters["CallSid"]), text(answered["call_sid"]))
	if kind == events.APIConferenceModified {
		key.ConferenceSid, call = cmp.Or(key.ConferenceSid, text(answered["sid"])), ""
	}
	params := prefixed(events.RequestPrefix, parameters)
	if code := data.Response.Code.String(); code != "" {
		params = slices.Insert(params, 0, events.Param{Name: events.ResponseCodeParam, Value: code})
	}
	return newStreamed(kind, key, call, cmp.Or(data.EventSid, it.ID), cmp.Or(data.Timestamp, it.Time), b, params)
}

// summary returns the entry of a summary, whose data is flat. The numbers of the
// people who called are left out: no callback of a conference has them.
func (it *item) summary(kind events.Kind, b *batch) (events.Entry, error) {
	var data map[string]any
	if err := json.Unmarshal(it.Data, &data); err != nil {
		return events.Entry{}, errItem
	}
	key := events.Key{AccountSid: cmp.Or(text(data["account_sid"]), b.accounts[0].Account.Sid), ConferenceSid: text(data["conference_sid"])}
	if key.ConferenceSid == "" {
		return events.Entry{}, &events.FormError{Field: "conference_sid", Reason: "is missing"}
	}
	sid, call := cmp.Or(text(data["eventSid"]), text(data["event_sid"]), it.ID), text(data["call_sid"])
	for _, left := range []string{"from", "to", "account_sid", "conference_sid", "call_sid"} {
		delete(data, left)
	}
	params := prefixed(events.SummaryPrefix, data)
	if strings.HasSuffix(it.Type, ".partial") {
		params = slices.Insert(params, 0, events.Param{Name: events.PartialParam, Value: "true"})
	}
	return newStreamed(kind, key, call, sid, it.Time, b, params)
}

func newStreamed(kind events.Kind, key events.Key, call, sid, at string, b *batch, params events.Params) (events.Entry, error) {
	if !events.IsSid("CF", key.ConferenceSid) {
		return events.Entry{}, errNoConference
	}
	if sid == "" {
		return events.Entry{}, &events.FormError{Field: "eventSid", Reason: "is missing"}
	}
	if !events.IsSid("CA", call) {
		call = ""
	}
	occurred, err := time.Parse(time.RFC3339, at)
	if err != nil {
		occurred = time.Time{} // the time of receipt counts
	}
	return events.NewStreamed(kind, key, call, sid, occurred, b.arrived, params), nil
}

// resourcePath is the path of a conference or a participant in Twilio's API.
var resourcePath = regexp.MustCompile(`/Accounts/(AC[0-9a-fA-F]{32})/Conferences/(CF[0-9a-fA-F]{32})?[^/]*?(?:/Participants/(CA[0-9a-fA-F]{32})?[^/]*)?$`)

// sidsOf returns the SIDs in the URL of an API call. A conference and a participant may be
// named otherwise there.
func sidsOf(url string) (account, conference, call string) {
	url, _, _ = strings.Cut(url, "?")
	url = strings.TrimSuffix(strings.TrimSuffix(url, "/"), ".json")
	if m := resourcePath.FindStringSubmatch(strings.TrimSuffix(url, "/Participants")); m != nil {
		return m[1], m[2], m[3]
	}
	return "", "", ""
}

// answerOf decodes the answer of the API, base64 of JSON; nil if it is none.
func answerOf(body string) (answer map[string]any) {
	raw, err := base64.StdEncoding.DecodeString(body)
	if err != nil || json.Unmarshal(raw, &answer) != nil {
		return nil
	}
	return answer
}

// prefixed returns the scalar members as parameters, sorted by name. Names that a
// parameter cannot have are left out.
func prefixed(prefix string, members map[string]any) (params events.Params) {
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if value := text(members[name]); value != "" && events.IsParamName(prefix+name) {
			params = append(params, events.Param{Name: prefix + name, Value: value})
		}
	}
	return params
}

// text returns a scalar as text, a list of scalars with commas between, and "" for anything else.
func text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		all := make([]string, len(v))
		for i := range v {
			all[i] = text(v[i])
		}
		return strings.Join(all, ",")
	}
	return ""
}
