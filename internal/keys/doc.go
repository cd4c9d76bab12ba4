// Package keys decides who may do what: Gavel's own API keys and the accounts'
// auth tokens, both as a user name and a password of HTTP Basic.
//
// A key is made once, its secret is shown once, and only a hash of it is kept,
// in a bucket that all Gavels of one NATS share. Each holds the bucket in
// memory and watches it, so that authenticating a request asks nobody.
//
// Reading order: identity.go (who it is), role.go (what that one may do),
// key.go (what is kept), keys.go (create, authenticate, revoke), first.go (the
// key of the first start).
package keys
