// Package failover holds tests that run two of everything and break one: the
// built binary in its own processes, on real nats-server and redis-server
// processes, which are killed, stopped and restarted while callbacks arrive.
//
// Every process, HTTP, signals, and the file systems under NATS are real. Only
// Twilio is a stand-in, which signs as Twilio does. Tests may assert what Gavel
// answers over HTTP, what the journal contains, what was published as news and
// what Redis holds, but nothing about the inside of a process.
//
// The checks at the end are the same everywhere (world_test.go): what was
// answered 2xx is in the journal, each of the journal's facts was published
// once and in the journal's order, and the picture is the fold of the journal.
//
// Tests that take longer than a minute carry the build tag failover and run in
// `make failover`; the rest run in `make test` too.
//
// `make upgrade` (build tag upgrade) starts this build on the unfinished work of an older build:
// upgrade_test.go. The older build comes from the repository's history.
//
// `make campaign` runs one destructive campaign (power cuts, damage, full disks, overload) with a
// negative control: failover/campaign.
//
// Reading order: process_test.go, nats_test.go (what is started), load_test.go (what is sent),
// world_test.go (what is checked), then the stories: roles, takeover, share, stall, rolling, redis,
// leader, lanes. Tests of rules have a world with a Twilio in it, rules_world_test.go, and their
// own stories: rules_company, weather, outage, files, stop, brakes; and crash.
package failover
