package project

import (
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"gavel/events"
	"gavel/projections"
)

// endedRecords bounds the ended conferences that a lane keeps in memory, about 6 MB. An end is
// followed by a few entries within minutes, such as late callbacks and what Twilio's API adds. With
// only the cache's bound a process grows for hours after its start, by conferences that
// nothing happens to.
const endedRecords = 4 << 10

// endings are the ended conferences of a cache, the one whose last entry is the oldest first. One
// that has had another entry is there twice, and only the later place counts.
type endings struct {
	queue []ending
	most  int
}

type ending struct {
	key events.Key
	of  *cached
	at  uint64 // sequence of the batch
}

// note records that a batch with that last sequence had entries of a conference.
func (e *endings) note(key events.Key, c *cached, at uint64) {
	c.last = at
	if c.Record != nil && c.Record.Status() == projections.StatusCompleted {
		e.queue = append(e.queue, ending{key, c, at})
	}
}

// release removes from the cache what exceeds the bound. It keeps a conference until all that its
// batch changed is saved and published, up to announced: the next entry folds onto what is cached.
func (e *endings) release(cache *simplelru.LRU[events.Key, *cached], announced uint64) {
	for len(e.queue) > e.most {
		oldest := e.queue[0]
		newest := oldest.at == oldest.of.last
		if newest && oldest.at > announced {
			return
		}
		e.queue[0] = ending{}
		e.queue = e.queue[1:]
		if held, ok := cache.Peek(oldest.key); newest && ok && held == oldest.of {
			cache.Remove(oldest.key)
		}
	}
}
