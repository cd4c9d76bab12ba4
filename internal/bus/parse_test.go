package bus

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"gavel/events"
)

// These tests are inside the package: their input comes from servers and streams
// only, so no public function accepts it.

// A subject decodes to the key it was made of.
func FuzzSubjectsOfRules(f *testing.F) {
	f.Add("AC1", "CF1", "0123")
	f.Add("AC1", "", "0123")
	f.Add("", "CF.*", ">")
	f.Fuzz(func(t *testing.T, account, conference, id string) {
		key := events.Key{AccountSid: account, ConferenceSid: conference}
		if checkID(key, id) != nil || account == noToken || conference == noToken {
			return
		}
		got, gotID, ok := splitIDSubject(laterDuePrefix, idSubject(laterDuePrefix, key, id))
		if !ok || got != key || gotID != id {
			t.Errorf("%q/%q became %q/%q", key, id, got, gotID)
		}
		if got, ok := keyOfDue(alarmSubject(timersDuePrefix, 7, key)); !ok || got != key {
			t.Errorf("%q was parsed as %q", key, got)
		}
	})
}

func FuzzDecodeDecided(f *testing.F) {
	f.Add("gavel.actions.AC1.CF1.0123", "3/7.2", "2026-11-22T10:00:00.5Z", "end-orphaned")
	f.Add("gavel.actions.AC1.-.0123", "", "", "")
	f.Fuzz(func(t *testing.T, subject, position, asOf, rule string) {
		header := nats.Header{headerPosition: {position}, headerAsOf: {asOf}, headerRule: {rule}}
		d, err := decodeDecided(subject, header, nil)
		if err != nil || checkDecided(&d) != nil {
			return
		}
		m := &nats.Msg{Header: nats.Header{}}
		fillDecided(m, &d)
		again, err := decodeDecided(m.Subject, m.Header, m.Data)
		if diff := cmp.Diff(d, again); diff != "" || err != nil {
			t.Errorf("written and read again, %v (-want +got):\n%s", err, diff)
		}
	})
}

func FuzzCheckNotice(f *testing.F) {
	for _, s := range []string{"floor.seven", "", ".", "gavel.x", "$SYS", "_INBOX", "a b", "a.*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if checkNotice(s) == nil && (strings.ContainsAny(s, " *>\r\n\t") || strings.HasPrefix(s, "gavel.")) {
			t.Errorf("%q is taken for a subject", s)
		}
	})
}

func FuzzParsePosition(f *testing.F) {
	f.Add("3/7.12")
	f.Add("/")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		lane, at, err := parsePosition(s)
		if err != nil {
			return
		}
		again := positionHeader(lane, at)
		if lane2, at2, err := parsePosition(again); err != nil || lane2 != lane || at2 != at {
			t.Errorf("%q became %q, then %d/%v, %v", s, again, lane2, at2, err)
		}
	})
}

func FuzzSplitNewsSubject(f *testing.F) {
	f.Add("gavel.events.AC1.CF1.participant-join")
	f.Add("gavel.events.")
	f.Add("gavel.journal.0")
	f.Fuzz(func(t *testing.T, s string) {
		account, conference, kind, ok := splitNewsSubject(s)
		if ok && eventsPrefix+account+"."+conference+"."+kind != s {
			t.Errorf("%q became %q %q %q", s, account, conference, kind)
		}
	})
}

// A projector decodes another one's beat, and drops what it does not recognize.
func FuzzParseBeat(f *testing.F) {
	for _, s := range []string{
		`{"id":"01J","lanes":[0,7]}`, `{"id":"01J","lanes":null,"new":true}`, `{"id":"01J","gone":true,"more":1}`,
		`{"id":"01J","lanes":[8]}`, `{"id":"01J","lanes":[-1]}`, `{"id":""}`, `{`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := parseBeat(data, 8)
		if err != nil {
			return
		}
		for _, lane := range b.Lanes {
			if lane < 0 || lane > 7 {
				t.Errorf("%q holds lane %d", data, lane)
			}
		}
		again, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := parseBeat(again, 8); err != nil || c.ID != b.ID || c.New != b.New || c.Gone != b.Gone || len(c.Lanes) != len(b.Lanes) {
			t.Errorf("%q became %+v, then %+v, %v", data, b, c, err)
		}
	})
}
