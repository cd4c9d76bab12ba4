package events

import (
	"net/mail"
	"strings"
	"time"
)

// zones are the names of zones in RFC 2822, section 4.3, and UTC.
var zones = map[string]string{
	"GMT": "+0000", "UT": "+0000", "UTC": "+0000", "EST": "-0500", "EDT": "-0400", "CST": "-0600",
	"CDT": "-0500", "MST": "-0700", "MDT": "-0600", "PST": "-0800", "PDT": "-0700",
}

// ParseTimestamp reads a date of RFC 2822 with all its zones; a name that RFC 2822 does not define
// means UTC, as it requires. Twilio documents "RFC 2822, in GMT", and payloads with the word GMT
// exist beside those with +0000. It parses the form that Twilio sends, "Mon, 02 Mar 2026 09:00:00
// +0000", itself, because time.Parse takes a twentieth of the projector's time for a callback.
func ParseTimestamp(s string) (time.Time, error) {
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
	if t, err := time.Parse(TimestampLayout, s); err == nil {
		return t, nil
	}
	return parseNamed(s)
}

// parseNamed reads the forms of RFC 2822 that TimestampLayout does not cover: a zone by its name, no
// weekday, no seconds.
func parseNamed(s string) (time.Time, error) {
	text, zone := s, ""
	if i := strings.LastIndexByte(s, ' '); i >= 0 {
		text, zone = s[:i], s[i+1:]
	}
	switch offset, known := zones[strings.ToUpper(zone)]; {
	case known:
		s = text + " " + offset
	case isZone(zone):
		s = text + " +0000"
	}
	return mail.ParseDate(s)
}

// isZone reports whether s is a zone's name, one to five letters.
func isZone(s string) bool {
	return len(s) >= 1 && len(s) <= 5 && strings.Trim(strings.ToUpper(s), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

func isWeekday(s string) bool {
	at := strings.Index("MonTueWedThuFriSatSun", s)
	return at >= 0 && at%3 == 0
}
