package events

import (
	"testing"
	"time"
)

func TestADateOfRFC2822IsReadInAllItsZones(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"Mon, 02 Mar 2026 09:00:00 GMT":   "2026-03-02T09:00:00Z",
		"Mon, 02 Mar 2026 09:00:00 UT":    "2026-03-02T09:00:00Z",
		"Mon, 02 Mar 2026 09:00:00 UTC":   "2026-03-02T09:00:00Z",
		"Mon, 02 Mar 2026 09:00:00 Z":     "2026-03-02T09:00:00Z",
		"Mon, 02 Mar 2026 09:00:00 EST":   "2026-03-02T14:00:00Z",
		"Mon, 02 Mar 2026 09:00:00 edt":   "2026-03-02T13:00:00Z",
		"Mon, 02 Mar 2026 09:00:00 CST":   "2026-03-02T15:00:00Z",
		"Mon, 02 Mar 2026 09:00:00 CDT":   "2026-03-02T14:00:00Z",
		"Mon, 02 Mar 2026 09:00:00 MST":   "2026-03-02T16:00:00Z",
		"Mon, 02 Mar 2026 09:00:00 MDT":   "2026-03-02T15:00:00Z",
		"Mon, 02 Mar 2026 09:00:00 PST":   "2026-03-02T17:00:00Z",
		"Mon, 02 Mar 2026 09:00:00 PDT":   "2026-03-02T16:00:00Z",
		"Mon, 02 Mar 2026 09:00:00 CET":   "2026-03-02T09:00:00Z", // not in RFC 2822: UTC
		"Mon, 02 Mar 2026 09:00:00 -0530": "2026-03-02T14:30:00Z",
		"2 Mar 2026 09:00 GMT":            "2026-03-02T09:00:00Z",
		"yesterday":                       "", "Mon, 02 Mar 2026 09:00:00": "", "2026-03-02T09:00:00Z": "", "": "", " GMT": "",
	} {
		got, err := ParseTimestamp(s)
		if want == "" && err == nil || want != "" && got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%q is read as %s, %v, want %q", s, got, err, want)
		}
	}
}

// White box: what is read quickly must be what time.Parse reads.
func FuzzParseTimestamp(f *testing.F) {
	for _, s := range []string{
		"Mon, 02 Mar 2026 09:00:00 +0000", "Sat, 28 Feb 2026 23:59:59 +0000", "Sun, 29 Feb 2026 23:59:59 +0000", "Tue, 31 Mar 2026 00:00:00 +0000",
		"Mon, 2 Mar 2026 09:00:00 +0000", "Mon, 02 Mar 2026 09:00:00 -0700", "Xyz, 02 Mar 2026 09:00:00 +0000", "mon, 02 mar 2026 09:00:00 +0000",
		"Mon, 02 Mar 2026 24:00:00 +0000", "Mon, 02 Mar 2026 09:60:00 +0000", "Mon, 02 Mar 2026 09:00:60 +0000", "Mon, 00 Mar 2026 09:00:00 +0000",
		"Mon, 02 arM 2026 09:00:00 +0000", "onT, 02 Mar 2026 09:00:00 +0000", "Mon, 02 Mar +026 09:00:00 +0000", "Mon, 02 Mar 0000 09:00:00 +0000", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseTimestamp(s)
		want, wantErr := time.Parse(TimestampLayout, s)
		if wantErr == nil && (err != nil || !got.Equal(want)) {
			t.Errorf("%q is %s, %v, and by time.Parse %s, %v", s, got, err, want, wantErr)
		}
	})
}
