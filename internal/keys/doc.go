// Package keys decides what a client may do. A client authenticates with one of Gavel's own API
// keys or with an account's auth token, as user name and password of HTTP Basic.
//
// The secret of a key is shown once, when the key is created. Only its hash is stored, in a bucket
// that all Gavels of one NATS share. Each Gavel holds the bucket in memory and watches it, so that
// authenticating a request needs no I/O.
//
// Reading order: identity.go (the client), role.go (what it may do), key.go (what is stored),
// keys.go (create, authenticate, revoke), first.go (the key of the first start).
package keys
