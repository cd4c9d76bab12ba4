package callback

import (
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// unread are the requests whose body is not complete, the oldest first. Anyone can send such
// requests, so they have no place among the callbacks in flight. At a limit an older one is
// ended instead of refusing the new one: Twilio sends header and body together, so a genuine body
// is complete before others can push it out, and slow senders push out each other.
type unread struct {
	now func() time.Time
	// most bounds them, mostOfPeer those of one sender.
	most, mostOfPeer int

	mu      sync.Mutex
	waiting []*reading
	// watched: a timer will end what waits for longer than bodyTime. It runs only while it is
	// needed, because a timer for each request would be one more for each callback.
	watched bool
}

// reading is a body that is being read.
type reading struct {
	w     http.ResponseWriter
	peer  netip.Addr
	since time.Time
	// ended: its time is over, or another one has its place. The connection cannot be used again.
	ended bool
}

// newUnread takes the room for genuine requests in flight.
func newUnread(now func() time.Time, room int64) unread {
	most := int(min(maxUnread, room/requestBytes/unreadShare))
	return unread{now: now, most: most, mostOfPeer: most * maxUnreadPeer / maxUnread}
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// peerOf returns the sender: an IPv4 address, or an IPv6 network of 64 bits, which one sender can
// have whole. It is invalid, and so the same for all, if a server other than net/http's calls.
func peerOf(remote string) netip.Addr {
	at, _ := netip.ParseAddrPort(remote)
	peer := at.Addr().Unmap()
	if peer.Is6() {
		network, _ := peer.WithZone("").Prefix(64)
		return network.Addr()
	}
	return peer
}

// begin adds a body. Until end, another request or the timer may end its reading.
func (u *unread) begin(r *reading) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.waiting) >= u.mostOfPeer {
		u.makeRoom(r.peer)
	}
	u.waiting = append(u.waiting, r)
	if !u.watched {
		u.watched = true
		time.AfterFunc(bodyTime, u.expire)
	}
}

// makeRoom ends the oldest body of the peer if it is at its limit. Else, if all together are at
// theirs, it ends the oldest body of the sender with the most, which is not Twilio.
func (u *unread) makeRoom(peer netip.Addr) {
	own := 0
	for _, r := range u.waiting {
		if r.peer == peer {
			own++
		}
	}
	if own < u.mostOfPeer {
		if len(u.waiting) < u.most {
			return
		}
		peer = u.busiest()
	}
	u.drop(slices.IndexFunc(u.waiting, func(r *reading) bool { return r.peer == peer }))
}

// busiest returns the sender with the most bodies, of several the one whose body is the oldest.
func (u *unread) busiest() netip.Addr {
	counts, most := map[netip.Addr]int{}, 0
	for _, r := range u.waiting {
		counts[r.peer]++
		most = max(most, counts[r.peer])
	}
	first := slices.IndexFunc(u.waiting, func(r *reading) bool { return counts[r.peer] == most })
	return u.waiting[first].peer
}

// drop ends the reading of a body: a Read that waits returns at once.
func (u *unread) drop(i int) {
	r := u.waiting[i]
	r.ended = true
	u.waiting = slices.Delete(u.waiting, i, i+1)
	// A server without deadlines has its own limits.
	_ = http.NewResponseController(r.w).SetReadDeadline(past)
}

// expire ends what waits for longer than bodyTime, and comes again while anything waits.
func (u *unread) expire() {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.now()
	for len(u.waiting) > 0 && now.Sub(u.waiting[0].since) >= bodyTime {
		u.drop(0)
	}
	if u.watched = len(u.waiting) > 0; u.watched {
		time.AfterFunc(u.waiting[0].since.Add(bodyTime).Sub(now), u.expire)
	}
}

// end removes a body and reports whether it kept its place. Otherwise the connection is at a
// deadline that has passed, and its answer is the last.
func (u *unread) end(r *reading) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !r.ended {
		i := slices.Index(u.waiting, r)
		u.waiting = slices.Delete(u.waiting, i, i+1)
	}
	return !r.ended
}
