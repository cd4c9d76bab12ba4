package picture

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"gavel/events"
)

// layout is the first character of every epoch. A picture with another layout counts as lost:
// change it whenever records, indexes or keys change, and the picture is filled again.
const layout = "9"

const keyPrefix = "gavel:"

// newEpoch names a key space: eight random characters after the layout.
func newEpoch() string { return layout + strings.ToLower(rand.Text()[:8]) }

// laneKey is the key of a lane's pointer.
func laneKey(lane int) string { return keyPrefix + "lane:" + strconv.Itoa(lane) }

// epochPrefix is the prefix of every key of an epoch.
func epochPrefix(epoch string) string { return keyPrefix + epoch + ":" }

// stateKey is the key of the lane's own state in an epoch. Its tag is the
// pointer's key, which places both in one slot: the two change together.
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

// spacesOf returns the key spaces of shards.
func spacesOf(epoch string, shards []int) []space {
	spaces := make([]space, len(shards))
	for i, shard := range shards {
		spaces[i] = newSpace(epoch, shard)
	}
	return spaces
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

// The indexes of an account. All have Created as their score.
const allIndex = "all"

// crossedIndex holds the conferences whose last event is on another UTC day than their creation:
// the few that a search by Updated cannot find by Created (query.go).
const crossedIndex = "crossed"

func statusIndex(status string) string { return "status:" + status }

// nameIndex has a digest in place of the friendly name, because names may be of people, and keys are
// shown by Redis's MONITOR, its slow log and tools that list keys. 128 bits never collide in practice.
func nameIndex(friendlyName string) string {
	sum := sha256.Sum256([]byte(friendlyName))
	return "name:" + hex.EncodeToString(sum[:16])
}

// laneShards returns the shards of a lane.
func laneShards(lane, lanes int) []int {
	var out []int
	for shard := lane; shard < events.Shards; shard += lanes {
		out = append(out, shard)
	}
	return out
}
