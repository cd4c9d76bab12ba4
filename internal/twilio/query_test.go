package twilio_test

import (
	"strings"
	"testing"

	"gavel/events"
	"gavel/internal/twilio"
)

func accountWith(t *testing.T, queries ...string) *twilio.Account {
	t.Helper()
	sid := "AC25e16e9a716a4a8617a7c83f58e30482"
	accounts, err := twilio.NewAccounts([]twilio.Account{{Sid: sid, Tokens: twilio.KeyRing{Current: "token"}, CallbackQueries: queries}})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := accounts.Lookup(sid)
	return a
}

// Nearly every program puts an id that varies into the query of its callback URL.
func TestAPatternStandsForAValueThatVaries(t *testing.T) {
	t.Parallel()
	a := accountWith(t, "callId=*", "queue=sales&task=*", "a=*&b=*", "queue=sales")
	params := events.Params{{Name: "AccountSid", Value: "x"}, {Name: "ConferenceSid", Value: "y"}}
	for query, want := range map[string]bool{
		"callId=CA25e16e9a716a4a1786a7c83f58e30482": true, "callId=a": true, "callId=" + strings.Repeat("a", 64): true,
		"queue=sales&task=6ba7b810-9dad-11d1-80b4-00c04fd430c8": true, "a=1&b=_": true, "queue=sales": true,
		"callId=*": false, "callId=": false, "callId": false, "callId=" + strings.Repeat("a", 65): false, "callId=a.b": false, "callId=a%20b": false,
		"callId=a+b": false, "callId=a&x=1": false, "x=1&callId=a": false, "task=1&queue=sales": false, "queue=sales&task=1&": false,
		"callId=aMutedtrue": false, "callId=AccountSid": false, "callId=xHold": false, "queue=*": false, "": false, "&": false,
	} {
		if err := a.CheckQuery(query, params); (err == nil) != want {
			t.Errorf("%q: %v, want allowed %v", query, err, want)
		}
	}
}

// The signed text has nothing between the query and the first parameter: without this
// rule the end of a value could be sent as a parameter that sorts first.
func TestAPatternRefusesAParameterBeforeAccountSid(t *testing.T) {
	t.Parallel()
	a := accountWith(t, "callId=*", "queue=sales")
	params := events.Params{{Name: "AccountSid", Value: "x"}, {Name: "A9", Value: "y"}}
	if err := a.CheckQuery("callId=7", params); err == nil || !strings.Contains(err.Error(), "sorts before AccountSid") {
		t.Errorf("a pattern: %v, want a refusal that names the order", err)
	}
	if err := a.CheckQuery("queue=sales", params); err != nil {
		t.Errorf("a listed query: %v", err)
	}
}

func TestPatternsAreCheckedAtStart(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"callId=a*": "write NAME=*", "*=1": "write NAME=*", "call*=*": "write NAME=*", "CallSid=*": "Twilio's own CallSid", "AccountSid=*": "AccountSid",
		"a=*&a=**": "write NAME=*",
	} {
		_, err := twilio.NewAccounts([]twilio.Account{{
			Sid: "AC25e16e9a716a4a8617a7c83f58e30482", Tokens: twilio.KeyRing{Current: "token"}, CallbackQueries: []string{query},
		}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", query, err, want)
		}
	}
}
