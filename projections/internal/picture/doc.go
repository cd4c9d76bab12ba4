// Package picture defines how the picture is stored in Redis and the steps that read and write it:
// one protocol that runs on two engines, a real Redis and the one inside the process.
//
// Every lane has its own key space, named by its epoch, so that lanes are built, lost and switched
// one by one. A key space is divided into shards; all keys of a shard carry one hash tag and
// therefore are in one slot of a Redis Cluster:
//
//	gavel:lane:<lane>                               hash: which epoch is read (lane.go)
//	gavel:<epoch>:{<shard>}:meta                    hash: the newest position written
//	gavel:<epoch>:{<shard>}:<account>:<conference>  hash: one record (record.go)
//	gavel:<epoch>:{<shard>}:index:<account>:<name>  sorted set: ConferenceSid by Created (index.go)
//	gavel:<epoch>:{<shard>}:accounts                sorted set: accounts that have conferences
//	gavel:<epoch>:{<shard>}:due                     sorted set: <account>:<conference> by Book.Due (due.go)
//	gavel:<epoch>:{gavel:lane:<lane>}:state         hash: the lane's own state (state.go)
//
// A record, its rule state and its indexes change in one atomic step, because they are in one slot;
// the same holds for the pointer and the state of a lane. A list therefore merges the indexes of
// all shards, which costs a fixed number of small reads in one round trip; in return no index ever
// lags behind its record, and a large account does not load one slot.
//
// The picture detects its own loss by positions. A shard's meta holds the last position written,
// the lane's pointer repeats it, and the writer keeps both in memory: if a key is absent or a
// position went backwards, Redis was emptied, rolled back or replaced. The shard itself refuses
// each write unless its position and the record's version are those that the writer expects.
//
// Reading order: engine.go (what an engine does), keys.go, record.go, codec.go, index.go (how it is
// stored), store.go, lane.go (claiming and losing), write.go, state.go, build.go, expire.go (the
// writer), read.go, list.go, query.go, walk.go (the reader), due.go (both), sweep.go.
package picture
