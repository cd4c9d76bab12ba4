package events

import (
	"strings"
	"time"
)

// parseTimestamp is time.Parse with TimestampLayout. It parses the form
// that Twilio sends, "Mon, 02 Mar 2026 09:00:00 +0000", itself, because
// time.Parse takes a twentieth of the projector's time for a callback.
func parseTimestamp(s string) (time.Time, error) {
	const form = "Mon, 02 Jan 2006 15:04:05 +0000"
	if len(s) == len(form) && s[3:5] == ", " && s[7] == ' ' && s[11] == ' ' && s[16] == ' ' && s[19] == ':' && s[22] == ':' && s[25:] == " +0000" {
		month := strings.Index("JanFebMarAprMayJunJulAugSepOctNovDec", s[8:11])
		day, ok1 := parseNumber(s[5:7])
		year, ok2 := parseNumber(s[12:16])
		hour, ok3 := parseNumber(s[17:19])
		minute, ok4 := parseNumber(s[20:22])
		second, ok5 := parseNumber(s[23:25])
		if ok1 && ok2 && ok3 && ok4 && ok5 && month >= 0 && month%3 == 0 && isWeekday(s[:3]) &&
			day >= 1 && day <= 28 && hour < 24 && minute < 60 && second < 60 {
			return time.Date(int(year), time.Month(month/3+1), int(day), int(hour), int(minute), int(second), 0, time.UTC), nil
		}
	}
	return time.Parse(TimestampLayout, s)
}

func isWeekday(s string) bool {
	at := strings.Index("MonTueWedThuFriSatSun", s)
	return at >= 0 && at%3 == 0
}
