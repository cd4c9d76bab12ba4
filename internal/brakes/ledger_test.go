package brakes

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/rules"
)

// White box: the stored form of the ledger, and its limits.

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func mustParse(t *testing.T, value []byte, now time.Time) *ledger {
	t.Helper()
	l, err := parseLedger(value, now)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestALedgerIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	l := mustParse(t, nil, start)
	for i := range 100 {
		r := Request{
			Rule: "end", AccountSid: "AC1", ID: fmt.Sprint(i),
			Limits: rules.Limits{TripAfter: 100}, Ceiling: rules.Ceiling{PerMinute: 1000},
		}
		l.admit(r, start.Add(time.Duration(i)*300*time.Millisecond))
	}
	again := mustParse(t, encoded(l), start)
	if diff := cmp.Diff(string(encoded(l)), string(encoded(again))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(l.Rules["end"].Hour, again.Rules["end"].Hour, cmp.AllowUnexported(tally{})); diff != "" || again.Rules["end"].Trip == nil {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(l.IDs, again.IDs, cmp.AllowUnexported(admission{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestALedgerDropsEntriesThatLimitNothing(t *testing.T) {
	t.Parallel()
	l := mustParse(t, nil, start)
	l.admit(Request{Rule: "end", AccountSid: "AC1", ID: "1", Ceiling: rules.Ceiling{PerMinute: 1}}, start)
	for after, want := range map[time.Duration]string{
		60 * time.Second:   `1 ids, 1 rules, 1 accounts`,
		61 * time.Second:   `1 ids, 1 rules, 0 accounts`,
		601 * time.Second:  `0 ids, 1 rules, 0 accounts`,
		3601 * time.Second: `0 ids, 0 rules, 0 accounts`,
	} {
		then := mustParse(t, encoded(l), start.Add(after))
		if got := fmt.Sprintf("%d ids, %d rules, %d accounts", len(then.IDs), len(then.Rules), len(then.Accounts)); got != want {
			t.Errorf("after %s: %s, want %s", after, got, want)
		}
	}
}

// The bus accepts 1 MiB; a bigger ledger would stop all rules.
func TestAFullLedgerFitsIntoAMessage(t *testing.T) {
	t.Parallel()
	l := mustParse(t, nil, start)
	for second := range 3600 {
		now := start.Add(time.Duration(second) * time.Second)
		for rule := range 200 { // the maximum of a set
			r := Request{Rule: fmt.Sprintf("%064d", rule), AccountSid: "AC" + strings.Repeat("0", 32), ID: fmt.Sprint(second, rule), Subject: fmt.Sprint("CF", second)}
			l.rule(r.Rule)
			l.count(r, hashOf(r.ID), now.Unix())
		}
	}
	for i := range maxPast + 10 {
		l.note(Change{Rule: fmt.Sprintf("%064d", i), What: WasReset, At: start, Reason: strings.Repeat("r", 256), By: strings.Repeat("b", 64)})
	}
	if size := len(encoded(l)); size > 1000<<10 {
		t.Errorf("it has %d bytes", size)
	}
	if n := len(l.IDs); n != maxIDs {
		t.Errorf("the ledger holds %d ids", n)
	}
}

func TestAThinnedTallyCountsForLongerAndNeverForLess(t *testing.T) {
	t.Parallel()
	var thinned, exact tallies
	for second := int64(0); second < 3600; second += 3 {
		thinned = thinned.add(second)
		exact = append(exact, tally{second, 1})
	}
	if len(thinned) > maxTallies {
		t.Errorf("%d tallies remain", len(thinned))
	}
	for now := int64(3600); now < 7300; now += 60 {
		if is, least := thinned.count(hour, now), exact.count(hour, now); is < least {
			t.Errorf("at %d: %d actions are counted, %d were admitted", now, is, least)
		}
	}
}

// A process whose clock is behind counts at the time of the other one.
func TestAProcessWhoseClockIsBehindCountsAtTheLaterTime(t *testing.T) {
	t.Parallel()
	counts := tallies(nil).add(100).add(98).add(101)
	if diff := cmp.Diff(tallies{{100, 2}, {101, 1}}, counts, cmp.AllowUnexported(tally{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The ids are kept in the order of their seconds too: others could not read the ledger.
func TestALedgerOfTwoClocksCanBeRead(t *testing.T) {
	t.Parallel()
	l := mustParse(t, nil, start)
	for i, at := range []time.Time{start, start.Add(-5 * time.Second), start.Add(time.Second)} {
		r := Request{Rule: "end", AccountSid: "AC1", ID: fmt.Sprint(i), Limits: rules.Limits{PerMinute: 9}, Ceiling: rules.Ceiling{PerMinute: 9}}
		if v, _ := l.admit(r, at); v.Answer != Admitted || v.Repeat {
			t.Errorf("request %d: %+v", i, v)
		}
	}
	if n := mustParse(t, encoded(l), start).Rules["end"].Minute.count(minute, start.Unix()); n != 3 {
		t.Errorf("%d actions are counted, want 3", n)
	}
}

// A ledger that is kept between admissions forgets what one that is parsed again forgets.
func TestAKeptLedgerIsAsIfItWasParsed(t *testing.T) {
	t.Parallel()
	kept, parsed, now := mustParse(t, nil, start), mustParse(t, nil, start), start
	for i := range 3 * maxIDs {
		now = now.Add(200 * time.Millisecond)
		if i == 2*maxIDs {
			now = now.Add(5 * time.Minute)
		}
		r := Request{Rule: fmt.Sprint("end-", i%3), AccountSid: "AC1", ID: fmt.Sprint(i % 5000), Limits: rules.Limits{PerMinute: 90, TripAfter: 3000}, Ceiling: rules.Ceiling{PerMinute: 250}}
		kept.refresh(now)
		if i%50 == 0 {
			parsed = mustParse(t, encoded(parsed), now)
		} else {
			parsed.refresh(now)
		}
		got, changed := kept.admit(r, now)
		if want, wants := parsed.admit(r, now); got != want || changed != wants {
			t.Fatalf("request %d: %+v, %v; a parsed ledger has %+v, %v", i, got, changed, want, wants)
		}
	}
	if len(kept.known) > maxIDs || string(encoded(kept)) != string(encoded(parsed)) {
		t.Errorf("%d ids are known; kept and parsed ledgers differ:\n%s\n%s", len(kept.known), encoded(kept), encoded(parsed))
	}
}

func FuzzLedger(f *testing.F) {
	l, _ := parseLedger(nil, start)
	l.admit(Request{Rule: "end", AccountSid: "AC1", ID: "1", Limits: rules.Limits{TripAfter: 1}, Ceiling: rules.Ceiling{PerMinute: 1}}, start)
	f.Add(string(encoded(l)))
	f.Add(`{"ids":"AAAA","rules":{"end":{"minute":"//8"},"x":null},"accounts":{"AC1":"!"}}`)
	f.Fuzz(func(t *testing.T, value string) {
		l, err := parseLedger([]byte(value), start)
		if err != nil {
			return
		}
		l.admit(Request{Rule: "end", AccountSid: "AC1", ID: "2", Limits: rules.Limits{PerMinute: 2, TripAfter: 3}}, start)
		again, err := parseLedger(encoded(l), start)
		if err != nil {
			t.Fatalf("the encoded ledger cannot be read: %v", err)
		}
		if diff := cmp.Diff(string(encoded(again)), string(encoded(l))); diff != "" && len(l.Rules) == len(again.Rules) {
			t.Errorf("-again +written:\n%s", diff)
		}
	})
}

// encoded returns a ledger in its stored form.
func encoded(l *ledger) []byte {
	value, err := json.Marshal(l)
	if err != nil {
		panic(err)
	}
	return value
}

// A process whose clock was an hour ahead used up the minute, and the clock was corrected.
func TestTheBrakesOpenAMinuteAfterAClockThatWasAheadIsCorrected(t *testing.T) {
	t.Parallel()
	request := func(id string) Request {
		return Request{Rule: "end", AccountSid: "AC1", ID: id, Limits: rules.Limits{PerMinute: 1, TripAfter: 100}, Ceiling: rules.Ceiling{PerMinute: 1}}
	}
	l := mustParse(t, nil, start)
	l.admit(request("1"), start.Add(time.Hour))
	l = mustParse(t, encoded(l), start)
	v, changed := l.admit(request("2"), start)
	if v.Answer != Wait || !changed || v.Until.After(start.Add(61*time.Second)) {
		t.Fatalf("right after the correction: %+v, changed %v", v, changed)
	}
	later := start.Add(61 * time.Second)
	l = mustParse(t, encoded(l), later)
	if v, _ := l.admit(request("2"), later); v.Answer != Admitted {
		t.Errorf("a minute later: %+v", v)
	}
	if v, _ := l.admit(request("1"), later); !v.Repeat {
		t.Errorf("the action of the wrong hour is counted again: %+v", v)
	}
}
