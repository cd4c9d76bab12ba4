// Package failover holds tests that run two of everything and break one: the
// built binary in processes of its own, on real nats-server and redis-server
// processes, killed, stopped and started again while callbacks come in.
//
// What is real: every process, HTTP, signals, the file systems under NATS. What
// is a stand-in: Twilio alone, by its own signature. Tests may assert what
// Gavel answers over HTTP, what lies in the journal, what was told as news and
// what stands in Redis, and nothing of what is inside a process.
//
// The checks at the end are the same everywhere (world_test.go): what was
// answered 2xx is in the journal, each of the journal's facts was told once and
// in the journal's order, and the picture is the fold of the journal.
//
// What takes longer than a minute carries the build tag failover and runs in
// `make failover`; the rest runs in `make test` too.
//
// `make upgrade` (build tag upgrade) starts this build on what an older build left
// undone: upgrade_test.go. The older build comes from the repository's history.
//
// Reading order: process_test.go, nats_test.go (what is started),
// load_test.go (what is sent), world_test.go (what is checked), then the
// stories: roles, takeover, share, stall, rolling, redis, leader, lanes. Rules
// have a world with a Twilio in it, rules_world_test.go, and stories of their
// own: rules_company, weather, outage, files, stop, brakes; and crash.
package failover
