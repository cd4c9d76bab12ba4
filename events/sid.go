package events

import "strings"

// sidLength is two letters that name the kind and 32 hex digits (Twilio,
// Glossary: "String Identifier (SID)").
const sidLength = 34

// IsSid reports whether s is a SID of the kind that prefix names ("CF"), in
// either letter case: customers' own code has been seen to change it.
func IsSid(prefix, s string) bool {
	if len(s) != sidLength || upper(s[0]) != prefix[0] || upper(s[1]) != prefix[1] {
		return false
	}
	for i := 2; i < sidLength; i++ {
		if !isHex(s[i]) {
			return false
		}
	}
	return true
}

// CanonicalSid returns a SID in the one letter case that keys and subjects use: prefix upper,
// digits lower. Check with IsSid first: the result for anything else has no meaning.
func CanonicalSid(s string) string {
	for i := range len(s) {
		if lower := s[i] >= 'a'; s[i] >= 'A' && lower == (i < 2) {
			return recased(s)
		}
	}
	return s
}

func recased(s string) string {
	prefix := min(2, len(s))
	return strings.ToUpper(s[:prefix]) + strings.ToLower(s[prefix:])
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - ('a' - 'A')
	}
	return c
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
