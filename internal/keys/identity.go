package keys

import "slices"

// Identity is the client of a request.
type Identity struct {
	// KeySid is the API key's SID, or the AccountSid of an account that
	// authenticated with its own auth token.
	KeySid string
	// Name is the key's name. It may hold names of people: do not log it.
	Name string
	// Role is what the client may do.
	Role Role
	// Accounts are the AccountSids it may access; empty means all.
	Accounts []string
}

// May reports whether the identity may access the account, given in canonical letter case.
func (i Identity) May(account string) bool {
	return i.All() || slices.Contains(i.Accounts, account)
}

// All reports whether the identity may access every account.
func (i Identity) All() bool { return len(i.Accounts) == 0 }

// Is reports whether the identity has all rights of that role.
func (i Identity) Is(role Role) bool { return i.Role.includes(role) }
