package events

import (
	"testing"
	"time"
)

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
		got, err := parseTimestamp(s)
		want, wantErr := time.Parse(TimestampLayout, s)
		if (err == nil) != (wantErr == nil) || !got.Equal(want) {
			t.Errorf("%q is %s, %v, and by time.Parse %s, %v", s, got, err, want, wantErr)
		}
	})
}
