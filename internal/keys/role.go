package keys

import (
	"fmt"
	"slices"
)

// Role is what a key may do.
type Role string

// The roles. Each has all rights of the one before it.
const (
	// Viewer reads.
	Viewer Role = "viewer"
	// Operator also writes to Twilio: it ends conferences, adds, changes and
	// removes participants, and changes recordings. It also controls rules: it
	// exempts, resets, stops and resumes, and redrives dead letters.
	Operator Role = "operator"
	// Admin also manages keys and rebuilds the picture. It is always for all accounts: with the
	// right to create keys it could create one for the others.
	Admin Role = "admin"
)

var ranks = []Role{Viewer, Operator, Admin}

// check returns what is wrong with the role of a key for these accounts.
func (r Role) check(accounts []string) error {
	switch {
	case !slices.Contains(ranks, r):
		return fmt.Errorf("%w: a role must be one of %v", ErrInvalid, ranks)
	case r == Admin && len(accounts) > 0:
		return fmt.Errorf("%w: an admin must be for all accounts", ErrInvalid)
	}
	return nil
}

// includes reports whether r has all rights of other. The zero Role has none.
func (r Role) includes(other Role) bool {
	return slices.Contains(ranks, r) && slices.Index(ranks, r) >= slices.Index(ranks, other)
}
