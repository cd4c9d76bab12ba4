package twiliofake_test

import (
	"net/url"
	"testing"

	"gavel/internal/twilio/twiliofake"
)

const (
	vectorToken = "12345abcdef67890fedcba0987654321"
	vectorURL   = "https://hooks.example.com/twilio/conference"
	vectorCall  = "CA25e16e9a716a4a1786a7c83f58e30482"
)

// base returns the parameters that the computed vectors share.
func base(changes url.Values) url.Values {
	params := url.Values{
		"AccountSid":          {"AC25e16e9a716a4a8617a7c83f58e30482"},
		"ConferenceSid":       {"CFe08c870b500f6e44a9ad184defd1f391"},
		"FriendlyName":        {"MyConf"},
		"SequenceNumber":      {"1"},
		"StatusCallbackEvent": {"conference-start"},
		"Timestamp":           {"Thu, 01 Jun 2017 20:48:32 +0000"},
	}
	for name, values := range changes {
		params[name] = values
	}
	return params
}

// The vectors were computed with Twilio's own Node library; the last two are published by Twilio.
func TestSignatureAgreesWithTwilio(t *testing.T) {
	t.Parallel()
	published := url.Values{
		"CallSid": {"CA1234567890ABCDE"},
		"Caller":  {"+14158675310"},
		"From":    {"+14158675310"},
		"Digits":  {"1234"},
		"To":      {"+18005551212"},
	}
	vectors := []struct {
		name, token, url string
		params           url.Values
		want             string
	}{
		{"query kept", vectorToken, vectorURL + "?tenant=acme&x=1", base(nil), "7OhNDA2VI12vEHgF8Ab4oy4phqE="},
		{"port kept", vectorToken, "https://hooks.example.com:8443/twilio/conference", base(nil), "ZDQjoO5ct3KttL8M9+fZxC6Q22w="},
		{"no port", vectorToken, vectorURL, base(nil), "93nhseM4ImiRmjoicYx6XaumduE="},
		{"explicit default port", vectorToken, "https://hooks.example.com:443/twilio/conference", base(nil), "XukIbqgQ8ww4F4BnEJJCkFS4tHc="},
		{"unicode", vectorToken, vectorURL + "?name=caf%C3%A9%20bar&q=a%2Bb", base(url.Values{
			"FriendlyName":           {"Sala de reunião #1 – 北京 & co. 😀+100%"},
			"SequenceNumber":         {"2"},
			"StatusCallbackEvent":    {"participant-join"},
			"ParticipantLabel":       {"O'Brien <agent>"},
			"CallSid":                {vectorCall},
			"Muted":                  {"false"},
			"Hold":                   {"false"},
			"Coaching":               {"false"},
			"EndConferenceOnExit":    {"false"},
			"StartConferenceOnEnter": {"true"},
		}), "klvIrCfZtK2zS/T9RDSQfCMs2Cg="},
		{"duplicates", vectorToken, vectorURL, base(url.Values{"Tag": {"b", "a", "b", "B"}}), "xEUevNmXnAiYtkDBSIsqLGb0sTs="},
		{"empty values", vectorToken, vectorURL, base(url.Values{
			"SequenceNumber":                   {"7"},
			"StatusCallbackEvent":              {"conference-end"},
			"Reason":                           {""},
			"ReasonConferenceEnded":            {"last-participant-left"},
			"CallSidEndingConference":          {vectorCall},
			"ParticipantLabelEndingConference": {""},
		}), "FmQXGQx1lugMxQe/QpShlPlmvjk="},
		{"key sort trap", vectorToken, vectorURL, base(url.Values{
			"SequenceNumber":          {"6"},
			"StatusCallbackEvent":     {"conference-end"},
			"Reason":                  {"Participant " + vectorCall + " with endConferenceOnExit left the conference"},
			"ReasonConferenceEnded":   {"participant-with-end-conference-on-exit-left"},
			"CallSidEndingConference": {vectorCall},
		}), "lfrGwag+MEt8UwFJLco6DS+QeHs="},
		{"json", vectorToken, "https://hooks.example.com/twilio/events?bodySHA256=15081a4809c51df925373e6fceb0d4f7af0d3d3734f71c7025fb42d27425a76e", nil, "9tXKYKFDV6OKK4KwXKqk2kWnqA8="},
		{"get", vectorToken, vectorURL + "?x=1&AccountSid=AC25e16e9a716a4a8617a7c83f58e30482&ConferenceSid=CFe08c870b500f6e44a9ad184defd1f391&FriendlyName=MyConf&SequenceNumber=1&StatusCallbackEvent=conference-start&Timestamp=Thu%2C%2001%20Jun%202017%2020%3A48%3A32%20%2B0000", nil, "Pe02lbH3zUJUcNu1piavABp4XF0="},
		{"spaces kept", vectorToken, vectorURL, base(url.Values{"FriendlyName": {" MyConf "}}), "D5xq1qNnzzFJsEWe9TjWV88eDLA="},
		{"key order", vectorToken, vectorURL, url.Values{"b": {"1"}, "B": {"2"}, "a": {"3"}, "A": {"4"}, "_x": {"5"}}, "5Ow+s2iKAoQIlra8mJ08qvHEsCM="},
		{"published", "12345", "https://example.com/myapp.php?foo=1&bar=2", published, "L/OH5YylLD5NRKLltdqwSvS0BnU="},
		{"twilio-go 140", "12345", "https://mycompany.com/myapp.php?foo=1&bar=2", url.Values{
			"CallSid": published["CallSid"], "Digits": published["Digits"], "To": published["To"],
			"Caller": {"+14158675309"}, "From": {"+14158675309"},
			"ReasonConferenceEnded": {"test"}, "Reason": {"Participant"},
		}, "vOEb5UThFn24KEfnOFLQY2AE5FY="},
	}
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if got := twiliofake.Signature(v.token, v.url, v.params); got != v.want {
				t.Errorf("Signature = %s, want %s", got, v.want)
			}
		})
	}
}
