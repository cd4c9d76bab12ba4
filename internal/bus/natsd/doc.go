// Package natsd runs the NATS server inside the process and connects to it, or to
// an external one. It does not depend on Gavel's streams.
//
// Reading order: server.go (the embedded server and its token), disk_unix.go (the
// lock of its folder, the size of its volume), connect.go (connections to either,
// and the oldest version that is accepted).
package natsd
