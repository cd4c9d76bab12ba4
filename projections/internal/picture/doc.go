// Package picture is how the picture lies in Redis and by which steps it is
// read and written: one protocol, run by two engines, a real Redis and the one
// inside the process.
//
// Every lane has a key space of its own, named by its epoch, so that lanes are
// built, lost and switched one by one. A key space is cut into shards; all keys
// of a shard carry one hash tag and so lie in one slot of a Redis Cluster:
//
//	gavel:lane:<lane>                               hash: which epoch is read (lane.go)
//	gavel:<epoch>:{<shard>}:meta                    hash: the newest position written
//	gavel:<epoch>:{<shard>}:<account>:<conference>  hash: one record (record.go)
//	gavel:<epoch>:{<shard>}:index:<account>:<name>  sorted set: ConferenceSid by Created (index.go)
//	gavel:<epoch>:{<shard>}:accounts                sorted set: accounts that have conferences
//	gavel:<epoch>:{<shard>}:due                     sorted set: <account>:<conference> by Book.Due (due.go)
//	gavel:<epoch>:{gavel:lane:<lane>}:state         hash: the lane's own state (state.go)
//
// A record, its rule state and its indexes change in one atomic step, because
// they are in one slot; so do the pointer and the state of a lane. A list
// therefore merges the indexes of all shards, which costs a fixed number of small
// reads in one round trip; in return no index ever lags behind its record, and a
// large account is not one hot slot.
//
// The picture notices that it was lost by what it remembers. A shard's meta
// says which position was written last, the lane's pointer repeats it, and the
// writer keeps both in memory: a key that is absent, or a position that went
// backwards, is a Redis that was emptied, rolled back or replaced. Each write
// is refused by the shard itself unless its position and the record's version
// are as the writer left them.
//
// Reading order: engine.go (what an engine does), keys.go, record.go, codec.go,
// index.go (how it lies), store.go, lane.go (claiming and losing), write.go,
// state.go, build.go, expire.go (the writer), read.go, list.go, query.go,
// walk.go (the reader), due.go (both), sweep.go.
package picture
