package twilio

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gavel/events"
)

// AnnouncePath begins the path of every announcement, after the public URL.
const AnnouncePath = "/twilio/announce/"

// The errors for an announcement's address that is not valid.
var (
	// ErrNoAnnouncement is returned for an address of another form, or of an
	// account that is not configured.
	ErrNoAnnouncement = errors.New("not an announcement's address")
	// ErrForged is returned if no key of the account made the address.
	ErrForged = errors.New("address of an announcement is forged")
	// ErrExpired is returned for a genuine address that is too old.
	ErrExpired = errors.New("address of an announcement has expired")
)

const (
	// announceLabel separates the keys made here from every other use of an auth token as a key.
	announceLabel   = "gavel announcement v1"
	announceExpires = "exp"
	announceMAC     = "mac"
)

// AnnounceURL returns the address where Twilio fetches the announcement of
// decision id, below base ("https://host[:port][/prefix]"). It reveals no data,
// cannot be guessed, and is valid until expires, in whole seconds.
//
// Errors wrap ErrNoCredentials for an account that is not configured, and ErrNoAnnouncement for an
// id or a conference that cannot be part of an address.
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
	mac := at.mac(account.secrets()[0], until)
	return strings.TrimRight(base, "/") + path + "?" + announceExpires + "=" + until +
		"&" + announceMAC + "=" + hex.EncodeToString(mac), nil
}

// CheckAnnounce returns the decision of an announcement's address: a path
// without the public URL's prefix, and a query. Other parameters of the query
// are ignored: a GET from Twilio carries the call's parameters there.
//
// The error is ErrNoAnnouncement, ErrForged or ErrExpired; with ErrExpired the
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
	until, err := at.verify(account.secrets(), query)
	if err != nil {
		return key, "", err
	}
	if !now.Before(until) {
		return at.key, at.id, ErrExpired
	}
	return at.key, at.id, nil
}

// AnnounceID returns the decision of an announcement's address: Twilio identifies an announcement
// that ended by its AnnounceUrl. It checks only the form, because the callback that carries the
// address has Twilio's own signature.
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

// announcement is the decision that an address names.
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
	// Only the spelling that AnnounceURL writes is accepted: an announcement
	// that is served once must not have two addresses.
	right := events.IsSid("AC", account) && events.CanonicalSid(account) == account &&
		events.IsSid("CF", conference) && events.CanonicalSid(conference) == conference && announceID.MatchString(id)
	return announcement{events.Key{AccountSid: account, ConferenceSid: conference}, id}, right
}

// announceID matches hexadecimal ids and ULIDs; 64 bytes are more than two ULIDs.
var announceID = regexp.MustCompile(`^[0-9a-zA-Z]{1,64}$`)

// verify tries every key of the account: an address stays valid during a rotation.
func (a announcement) verify(secrets []Secret, query url.Values) (until time.Time, err error) {
	expires, macs := query[announceExpires], query[announceMAC]
	if len(expires) != 1 || len(macs) != 1 {
		return until, ErrForged
	}
	mac, err := hex.DecodeString(macs[0])
	if err != nil {
		return until, ErrForged
	}
	matched := false
	for _, secret := range secrets {
		matched = hmac.Equal(mac, a.mac(secret, expires[0])) || matched
	}
	seconds, err := strconv.ParseInt(expires[0], 10, 64)
	if !matched || err != nil {
		return until, ErrForged
	}
	return time.Unix(seconds, 0), nil
}

// mac signs one line for each part; no part can contain a line break.
func (a announcement) mac(token Secret, expires string) []byte {
	key := hmacSHA256([]byte(token.Reveal()), announceLabel)
	return hmacSHA256(key, strings.Join([]string{a.key.AccountSid, a.key.ConferenceSid, a.id, expires}, "\n"))
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
