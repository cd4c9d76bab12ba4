package twilio

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gavel/events"
)

// AnnouncePath begins the path of every announcement, behind the public URL.
const AnnouncePath = "/twilio/announce/"

// Why an announcement's address is no good.
var (
	// ErrNoAnnouncement is returned for an address of another form, or of an
	// account that is not configured.
	ErrNoAnnouncement = errors.New("no address of an announcement")
	// ErrForged is returned where no key of the account made the address.
	ErrForged = errors.New("address of an announcement is forged")
	// ErrExpired is returned for a right address that is too old.
	ErrExpired = errors.New("address of an announcement has expired")
)

const (
	// announceLabel keeps what is made here apart from everything else that is
	// ever signed with an auth token.
	announceLabel = "gavel announcement v1"
	// maxAnnounceID bounds a decision's id, in bytes: two ULIDs and more.
	maxAnnounceID = 64

	announceExpires = "exp"
	announceMAC     = "mac"
)

// AnnounceURL returns the address at which Twilio is to fetch what the decision
// id announces, behind base ("https://host[:port][/prefix]"). It tells nobody
// anything, cannot be guessed, and is good until expires, in whole seconds.
//
// Errors wrap ErrNoCredentials for an account that is not configured, and
// ErrNoAnnouncement for an id or a conference that no address can hold.
func (a *Accounts) AnnounceURL(base string, key events.Key, id string, expires time.Time) (string, error) {
	account, ok := a.Lookup(key.AccountSid)
	if !ok {
		return "", fmt.Errorf("make address of announcement: %w", ErrNoCredentials)
	}
	path := AnnouncePath + key.AccountSid + "/" + key.ConferenceSid + "/" + id
	at, ok := parseAnnouncePath(path)
	if !ok {
		return "", fmt.Errorf("make address of announcement: %w", ErrNoAnnouncement)
	}
	until := strconv.FormatInt(expires.Unix(), 10)
	mac := at.mac(account.Tokens.Current, until)
	return strings.TrimRight(base, "/") + path + "?" + announceExpires + "=" + until +
		"&" + announceMAC + "=" + hex.EncodeToString(mac), nil
}

// CheckAnnounce returns the decision whose announcement is asked for at a path
// without the public URL's prefix. What else is in the query is not looked at:
// a GET of Twilio's carries the call's parameters there.
//
// The error is ErrNoAnnouncement, ErrForged or ErrExpired; with the last one the
// decision is returned too.
func (a *Accounts) CheckAnnounce(path string, query url.Values, now time.Time) (key events.Key, id string, err error) {
	at, ok := parseAnnouncePath(path)
	if !ok {
		return key, "", ErrNoAnnouncement
	}
	account, ok := a.Lookup(at.key.AccountSid)
	if !ok {
		return key, "", ErrNoAnnouncement
	}
	until, err := at.verify(account.Tokens, query)
	if err != nil {
		return key, "", err
	}
	if !now.Before(until) {
		return at.key, at.id, ErrExpired
	}
	return at.key, at.id, nil
}

// AnnounceID returns which decision's announcement an address is of: Twilio
// tells of the end of one by its AnnounceUrl. It checks nothing else, for what
// is asked has Twilio's own signature.
func AnnounceID(announceURL string) (key events.Key, id string, ok bool) {
	u, err := url.Parse(announceURL)
	if err != nil {
		return key, "", false
	}
	at := strings.LastIndex(u.Path, AnnouncePath)
	if at < 0 {
		return key, "", false
	}
	found, ok := parseAnnouncePath(u.Path[at:])
	return found.key, found.id, ok
}

// announcement is what an address names.
type announcement struct {
	key events.Key
	id  string
}

func parseAnnouncePath(path string) (announcement, bool) {
	rest, ok := strings.CutPrefix(path, AnnouncePath)
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 {
		return announcement{}, false
	}
	account, conference, id := parts[0], parts[1], parts[2]
	// Only the one spelling that AnnounceURL writes: what is served once must
	// not have two names.
	right := events.IsSid("AC", account) && events.CanonicalSid(account) == account &&
		events.IsSid("CF", conference) && events.CanonicalSid(conference) == conference && isAnnounceID(id)
	if !right {
		return announcement{}, false
	}
	return announcement{events.Key{AccountSid: account, ConferenceSid: conference}, id}, true
}

// isAnnounceID takes hexadecimal ids and ULIDs.
func isAnnounceID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return false
		}
	}
	return id != "" && len(id) <= maxAnnounceID
}

// verify tries every key of the ring, as for a signature of Twilio's: addresses
// outlive a rotation.
func (a announcement) verify(ring KeyRing, query url.Values) (until time.Time, err error) {
	expires, macs := query[announceExpires], query[announceMAC]
	if len(expires) != 1 || len(macs) != 1 {
		return until, ErrForged
	}
	mac, err := hex.DecodeString(macs[0])
	if err != nil {
		return until, ErrForged
	}
	matched := false
	for _, token := range []Secret{ring.Current, ring.Next, ring.Previous} {
		if token != "" && hmac.Equal(mac, a.mac(token, expires[0])) {
			matched = true
		}
	}
	seconds, err := strconv.ParseInt(expires[0], 10, 64)
	if !matched || err != nil {
		return until, ErrForged
	}
	return time.Unix(seconds, 0), nil
}

// mac has a line for each part; no part can hold a line break.
func (a announcement) mac(token Secret, expires string) []byte {
	key := hmacSHA256([]byte(token.Reveal()), announceLabel)
	return hmacSHA256(key, strings.Join([]string{a.key.AccountSid, a.key.ConferenceSid, a.id, expires}, "\n"))
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
