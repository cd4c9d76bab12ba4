package keys

import "slices"

// Identity is who a request comes from.
type Identity struct {
	// KeySid is the API key's SID, or the AccountSid of an account that came
	// with its own auth token.
	KeySid string
	// Name is what the key was called when it was made. It may hold names of
	// people: it is not for logs.
	Name string
	// Role is what it may do.
	Role Role
	// Accounts are the AccountSids it may do it with; empty means all.
	Accounts []string
}

// May reports whether the identity may see the account, given in canonical
// letter case.
func (i Identity) May(account string) bool {
	return i.All() || slices.Contains(i.Accounts, account)
}

// All reports whether the identity may see every account.
func (i Identity) All() bool { return len(i.Accounts) == 0 }

// Is reports whether the identity may do what that role may.
func (i Identity) Is(role Role) bool { return i.Role.includes(role) }
