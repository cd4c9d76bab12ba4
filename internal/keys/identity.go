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
	// Accounts are the AccountSids it may see; empty means all.
	Accounts []string
}

// May reports whether the identity may see the account, given in canonical
// letter case.
func (i Identity) May(account string) bool {
	return i.All() || slices.Contains(i.Accounts, account)
}

// All reports whether the identity may see every account, which is also what
// it takes to manage keys and to rebuild.
func (i Identity) All() bool { return len(i.Accounts) == 0 }
