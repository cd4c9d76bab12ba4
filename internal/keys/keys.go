package keys

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"gavel/events"
)

// ErrUnknown is returned for a key that does not exist, or no longer exists.
var ErrUnknown = errors.New("no such key")

// rewatch is how long Run waits before it watches the bucket again after a watch ended: short,
// because meanwhile a key revoked on another Gavel still works here.
const rewatch = time.Second

// Bucket stores the keys, by SID.
type Bucket interface {
	List(ctx context.Context) (map[string][]byte, error)
	Put(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
	// Lost returns the keys that were stored and are gone, without a Delete.
	Lost(ctx context.Context) ([]string, error)
	// Watch calls fn for each existing key and then for each change, in order, until ctx ends or
	// the watch breaks. A nil value means that the key was deleted.
	Watch(ctx context.Context, fn func(key string, value []byte)) error
}

// Logins returns the secrets of Twilio's that open Gavel for a user, given by its canonical
// AccountSid or by the SID of an API key of Twilio's, and the AccountSids that they open. Both are
// empty for a user that is not configured.
type Logins func(user string) (secrets, accounts []string)

// Keys holds all API keys. Its methods may be called from many goroutines.
type Keys struct {
	bucket Bucket
	logins Logins
	log    *slog.Logger
	now    func() time.Time

	mu    sync.RWMutex
	bySid map[string]stored
	// damage is why no key is valid now, or nil: without the list of revoked keys, any key may be
	// one of them. bySid is empty then.
	damage error
	// lost are keys that damage has removed. They are refused until an operator revokes them.
	lost []string
}

// remedy ends what an operator reads about damaged keys.
const remedy = "no api key is valid: remove the bucket GAVEL_KEYS (`nats kv del GAVEL_KEYS`), restart gavel, " +
	"and create the keys again with the new one in the file api-key"

// Open reads the bucket. Run keeps the keys up to date.
func Open(ctx context.Context, bucket Bucket, logins Logins, log *slog.Logger) (*Keys, error) {
	k := &Keys{bucket: bucket, logins: logins, log: log, now: time.Now}
	if err := k.load(ctx); err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	return k, nil
}

// load replaces the keys in memory with those of the bucket, or with none if the bucket is damaged.
func (k *Keys) load(ctx context.Context) error {
	values, err := k.bucket.List(ctx)
	if errors.Is(err, events.ErrKeyDamaged) {
		k.refuse(fmt.Errorf("list keys: %w; %s", err, remedy))
		return nil
	}
	var lost []string
	if err == nil {
		lost, err = k.bucket.Lost(ctx)
	}
	if err != nil {
		return fmt.Errorf("list keys: %w", err)
	}
	known := make(map[string]stored, len(values))
	for sid, value := range values {
		if s, ok := k.read(sid, value); ok {
			known[sid] = s
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, sid := range lost {
		if !slices.Contains(k.lost, sid) {
			k.log.Error("api key is damaged in the store, and refused: revoke it with `gavel keys revoke`, and create another", "key_sid", sid)
		}
	}
	k.bySid, k.damage, k.lost = known, nil, lost
	return nil
}

// isLost reports whether damage has removed a key.
func (k *Keys) isLost(sid string) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.Contains(k.lost, sid)
}

// refuse makes every key invalid.
func (k *Keys) refuse(damage error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.damage == nil {
		k.log.Error("api keys are damaged", "error", damage)
	}
	k.bySid, k.damage = map[string]stored{}, damage
}

// read parses one value of the bucket. A value that cannot be parsed is not a key.
func (k *Keys) read(sid string, value []byte) (stored, bool) {
	s, err := parseStored(value)
	if err != nil {
		k.log.Error("api key in the bucket cannot be read", "key_sid", sid, "error", err)
		return stored{}, false
	}
	return s, true
}

// apply applies one change of the bucket.
func (k *Keys) apply(sid string, value []byte) {
	s, ok := stored{}, false
	if value != nil {
		s, ok = k.read(sid, value)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if delete(k.bySid, sid); ok {
		k.bySid[sid] = s
	}
	k.lost = slices.DeleteFunc(slices.Clone(k.lost), func(lost string) bool { return lost == sid })
}

// Run follows the bucket until ctx ends. While the bucket is unreachable, the
// keys in memory stay valid. After a watch ends, load is called until it
// succeeds: only load detects keys that were deleted while the watch was broken.
func (k *Keys) Run(ctx context.Context) {
	for {
		err := k.bucket.Watch(ctx, k.apply)
		if ctx.Err() != nil {
			return
		}
		if k.Damage() == nil {
			k.log.Warn("watch of the api keys ended, watching again", "error", err)
		}
		for loaded := false; !loaded; loaded = k.load(ctx) == nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(rewatch):
			}
		}
	}
}

// Create creates a key of that role for the accounts, or for all accounts if none are given. The
// secret is returned only here. Errors about the arguments wrap ErrInvalid.
func (k *Keys) Create(ctx context.Context, name string, role Role, accounts []string) (key Key, secret string, err error) {
	s, secret, err := newKey(name, role, accounts, k.now())
	if err == nil {
		err = k.put(ctx, s)
	}
	if err != nil {
		return Key{}, "", err
	}
	return s.Key, secret, nil
}

func (k *Keys) put(ctx context.Context, s stored) error {
	value, err := json.Marshal(s)
	if err == nil {
		err = k.Damage()
	}
	if err == nil {
		err = k.bucket.Put(ctx, s.Sid, value)
	}
	if err != nil {
		return fmt.Errorf("create key: %w", err)
	}
	k.apply(s.Sid, value)
	return nil
}

// Authenticate returns the client with these credentials: an API key's SID and secret,
// Gavel's own or the account's at Twilio, or an AccountSid and one of its auth tokens. SIDs are accepted in either letter case.
func (k *Keys) Authenticate(_ context.Context, user, password string) (Identity, bool) {
	switch {
	case password == "":
		return Identity{}, false
	case events.IsSid(sidPrefix, user):
		if who, ok := k.byKey(events.CanonicalSid(user), password); ok {
			return who, true
		}
		return k.byLogin(events.CanonicalSid(user), "Twilio API key", password)
	case events.IsSid("AC", user):
		return k.byLogin(events.CanonicalSid(user), "auth token", password)
	}
	return Identity{}, false
}

func (k *Keys) byKey(sid, secret string) (Identity, bool) {
	s, ok := k.stored(sid)
	// A key that does not exist has the zero hash, which no secret has:
	// existing and missing SIDs take the same time.
	if !s.opens(secret) || !ok {
		return Identity{}, false
	}
	return Identity{KeySid: s.Sid, Name: s.Name, Role: s.Role, Accounts: s.Accounts}, true
}

// stored returns a key by its canonical SID.
func (k *Keys) stored(sid string) (stored, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	s, ok := k.bySid[sid]
	return s, ok
}

// Damage returns why no key is valid now, and what to do, or nil.
func (k *Keys) Damage() error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.damage
}

// byLogin compares with every secret, so that the time does not reveal which one matched. There may
// be empty ones, but Authenticate refuses an empty password. A client with a secret of Twilio's is an
// operator, because it could call Twilio itself.
func (k *Keys) byLogin(user, name, secret string) (Identity, bool) {
	secrets, accounts := k.logins(user)
	given := sha256.Sum256([]byte(secret))
	matched := 0
	for _, s := range secrets {
		hash := sha256.Sum256([]byte(s))
		matched |= subtle.ConstantTimeCompare(given[:], hash[:])
	}
	if matched == 0 || len(accounts) == 0 { // no accounts would mean all
		return Identity{}, false
	}
	return Identity{KeySid: user, Name: name, Role: Operator, Accounts: accounts}, true
}

// List returns all keys, the oldest first.
func (k *Keys) List() []Key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	out := make([]Key, 0, len(k.bySid))
	for _, s := range k.bySid {
		out = append(out, s.Key)
	}
	slices.SortFunc(out, func(a, b Key) int { return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.Sid, b.Sid)) })
	return out
}

// Revoke revokes a key: here at once, on other Gavels as soon as the bucket
// notifies them. It returns ErrUnknown for a key that does not exist.
func (k *Keys) Revoke(ctx context.Context, sid string) error {
	if !events.IsSid(sidPrefix, sid) {
		return ErrUnknown
	}
	sid = events.CanonicalSid(sid)
	if _, ok := k.stored(sid); !ok && !k.isLost(sid) {
		return ErrUnknown
	}
	if err := k.bucket.Delete(ctx, sid); err != nil {
		return fmt.Errorf("revoke key: %w", err)
	}
	k.apply(sid, nil)
	return nil
}
