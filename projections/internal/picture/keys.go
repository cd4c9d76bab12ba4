package picture

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"gavel/events"
)

// layout opens every epoch, one character. A picture laid out by another
// version of this package is a lost one: change it whenever records, indexes or
// keys change, and they are filled anew.
const layout = "4"

const keyPrefix = "gavel:"

// newEpoch names a key space: eight random characters behind the layout.
func newEpoch() string { return layout + strings.ToLower(rand.Text()[:8]) }

// laneKey is the pointer of a lane.
func laneKey(lane int) string { return keyPrefix + "lane:" + strconv.Itoa(lane) }

// epochPrefix opens every key of an epoch.
func epochPrefix(epoch string) string { return keyPrefix + epoch + ":" }

// stateKey is the lane's own state in an epoch. Its tag is the pointer's key,
// which puts it into the pointer's slot: the two change together.
func stateKey(epoch string, lane int) string {
	return epochPrefix(epoch) + "{" + laneKey(lane) + "}:state"
}

// space is one shard of one epoch.
type space struct {
	epoch  string
	shard  int
	prefix string
}

func newSpace(epoch string, shard int) space {
	return space{epoch, shard, epochPrefix(epoch) + "{" + strconv.Itoa(shard) + "}:"}
}

func (s space) meta() string { return s.prefix + "meta" }

func (s space) accounts() string { return s.prefix + "accounts" }

func (s space) due() string { return s.prefix + "due" }

func (s space) record(k events.Key) string {
	return s.prefix + k.AccountSid + ":" + k.ConferenceSid
}

func (s space) index(account, name string) string {
	return s.prefix + "index:" + account + ":" + name
}

// maxNameInKey bounds a friendly name in a key, in bytes; a longer one is
// there by its digest.
const maxNameInKey = 128

// The indexes of an account. All are scored by Created.
const allIndex = "all"

// crossedIndex holds the conferences that were told of on another UTC day than
// the one they were created on: the few that a search by Updated would not
// find where Created says (query.go).
const crossedIndex = "crossed"

func statusIndex(status string) string { return "status:" + status }

func nameIndex(friendlyName string) string {
	if len(friendlyName) <= maxNameInKey {
		return "name:" + friendlyName
	}
	sum := sha256.Sum256([]byte(friendlyName))
	return "digest:" + hex.EncodeToString(sum[:])
}

// laneShards are the shards of a lane.
func laneShards(lane, lanes int) []int {
	var out []int
	for shard := lane; shard < events.Shards; shard += lanes {
		out = append(out, shard)
	}
	return out
}
