package twilio_test

import "gavel/events"

// Vectors computed with npm twilio 6.2.0 (getExpectedTwilioSignature) and
// checked against twilio-python 9.11.0; the last two are published by Twilio
// (Docs: "Webhooks security"; twilio-go pull request 140).
const (
	token    = "12345abcdef67890fedcba0987654321"
	account  = "AC25e16e9a716a4a8617a7c83f58e30482"
	leg      = "CA25e16e9a716a4a1786a7c83f58e30482"
	hookURL  = "https://hooks.example.com/twilio/conference"
	hookBase = "https://hooks.example.com"
	hookPath = "/twilio/conference"
)

// callback returns the parameters that most vectors share, with changes.
func callback(changes ...events.Param) events.Params {
	params := events.Params{
		{Name: "AccountSid", Value: account},
		{Name: "ConferenceSid", Value: "CFe08c870b500f6e44a9ad184defd1f391"},
		{Name: "FriendlyName", Value: "MyConf"},
		{Name: "SequenceNumber", Value: "1"},
		{Name: "StatusCallbackEvent", Value: "conference-start"},
		{Name: "Timestamp", Value: "Thu, 01 Jun 2017 20:48:32 +0000"},
	}
	for _, c := range changes {
		params = with(params, c)
	}
	return params
}

// with replaces a parameter or adds it; Tag is always added.
func with(params events.Params, c events.Param) events.Params {
	for i := range params {
		if params[i].Name == c.Name && c.Name != "Tag" {
			params[i] = c
			return params
		}
	}
	return append(params, c)
}

func p(name, value string) events.Param { return events.Param{Name: name, Value: value} }

type vector struct {
	name, token, url string
	params           events.Params
	signature        string
}

var published = []vector{
	{"docs", "12345", "https://example.com/myapp.php?foo=1&bar=2", events.Params{
		p("CallSid", "CA1234567890ABCDE"), p("Caller", "+14158675310"), p("From", "+14158675310"),
		p("Digits", "1234"), p("To", "+18005551212"),
	}, "L/OH5YylLD5NRKLltdqwSvS0BnU="},
	{"twilio-go 140", "12345", "https://mycompany.com/myapp.php?foo=1&bar=2", events.Params{
		p("CallSid", "CA1234567890ABCDE"), p("Caller", "+14158675309"), p("From", "+14158675309"),
		p("Digits", "1234"), p("To", "+18005551212"),
		p("ReasonConferenceEnded", "test"), p("Reason", "Participant"),
	}, "vOEb5UThFn24KEfnOFLQY2AE5FY="},
}

var computed = []vector{
	{"V1 query", token, hookURL + "?tenant=acme&x=1", callback(), "7OhNDA2VI12vEHgF8Ab4oy4phqE="},
	{"V2a port kept", token, "https://hooks.example.com:8443/twilio/conference", callback(), "ZDQjoO5ct3KttL8M9+fZxC6Q22w="},
	{"V2b port dropped", token, hookURL, callback(), "93nhseM4ImiRmjoicYx6XaumduE="},
	{"V2c port 443", token, "https://hooks.example.com:443/twilio/conference", callback(), "XukIbqgQ8ww4F4BnEJJCkFS4tHc="},
	{"V3 unicode", token, hookURL + "?name=caf%C3%A9%20bar&q=a%2Bb", callback(
		p("FriendlyName", "Sala de reunião #1 – 北京 & co. 😀+100%"), p("SequenceNumber", "2"),
		p("StatusCallbackEvent", "participant-join"), p("ParticipantLabel", "O'Brien <agent>"), p("CallSid", leg),
		p("Muted", "false"), p("Hold", "false"), p("Coaching", "false"), p("EndConferenceOnExit", "false"),
		p("StartConferenceOnEnter", "true"),
	), "klvIrCfZtK2zS/T9RDSQfCMs2Cg="},
	{"V4 duplicates", token, hookURL, callback(p("Tag", "b"), p("Tag", "a"), p("Tag", "b"), p("Tag", "B")), "xEUevNmXnAiYtkDBSIsqLGb0sTs="},
	{"V5 empty values", token, hookURL, callback(
		p("SequenceNumber", "7"), p("StatusCallbackEvent", "conference-end"), p("Reason", ""),
		p("ReasonConferenceEnded", "last-participant-left"), p("CallSidEndingConference", leg),
		p("ParticipantLabelEndingConference", ""),
	), "FmQXGQx1lugMxQe/QpShlPlmvjk="},
	{"V5b keys that begin alike", token, hookURL, callback(
		p("SequenceNumber", "6"), p("StatusCallbackEvent", "conference-end"),
		p("Reason", "Participant "+leg+" with endConferenceOnExit left the conference"),
		p("ReasonConferenceEnded", "participant-with-end-conference-on-exit-left"), p("CallSidEndingConference", leg),
	), "lfrGwag+MEt8UwFJLco6DS+QeHs="},
	{"V6 JSON", token, "https://hooks.example.com/twilio/events?bodySHA256=15081a4809c51df925373e6fceb0d4f7af0d3d3734f71c7025fb42d27425a76e", nil, "9tXKYKFDV6OKK4KwXKqk2kWnqA8="},
	{"V7 GET", token, hookURL + "?x=1&AccountSid=AC25e16e9a716a4a8617a7c83f58e30482&ConferenceSid=CFe08c870b500f6e44a9ad184defd1f391&FriendlyName=MyConf&SequenceNumber=1&StatusCallbackEvent=conference-start&Timestamp=Thu%2C%2001%20Jun%202017%2020%3A48%3A32%20%2B0000", nil, "Pe02lbH3zUJUcNu1piavABp4XF0="},
	{"V8 spaces kept", token, hookURL, callback(p("FriendlyName", " MyConf ")), "D5xq1qNnzzFJsEWe9TjWV88eDLA="},
	{"V9 key order", token, hookURL, events.Params{p("b", "1"), p("B", "2"), p("a", "3"), p("A", "4"), p("_x", "5")}, "5Ow+s2iKAoQIlra8mJ08qvHEsCM="},
}
