package twilio

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"gavel/events"
)

// Accounts are all configured accounts; the zero value has none. Replace may
// run while other goroutines read.
type Accounts struct {
	table atomic.Pointer[table]
}

// table is one version of the accounts; it never changes.
type table struct {
	bySid  map[string]*Account
	sorted []*Account
}

// AccountError is one fault of one account.
type AccountError struct {
	Index int // of the account, from 0
	Err   error
}

// Error names the account by its number.
func (e *AccountError) Error() string { return fmt.Sprintf("account %d: %v", e.Index+1, e.Err) }

// Unwrap returns the fault itself.
func (e *AccountError) Unwrap() error { return e.Err }

// single returns the errors that were joined.
func single(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		if err == nil {
			return nil
		}
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, single(one)...)
	}
	return all
}

// Faults returns the faults in an error of NewAccounts or Replace, each an *AccountError except for
// a missing account.
func Faults(err error) []error { return single(errors.Unwrap(err)) }

// NewAccounts checks the accounts and returns all errors joined.
func NewAccounts(accounts []Account) (*Accounts, error) {
	a := &Accounts{}
	if err := a.Replace(accounts); err != nil {
		return nil, err
	}
	return a, nil
}

// Replace replaces all accounts, for a rotation of tokens without a restart. On
// an error the old accounts stay.
func (a *Accounts) Replace(accounts []Account) error {
	t := &table{bySid: make(map[string]*Account, len(accounts))}
	var faults []error
	for i, account := range accounts {
		prepared, err := account.prepared()
		for _, fault := range single(err) {
			faults = append(faults, &AccountError{i, fault})
		}
		if t.bySid[prepared.Sid] != nil {
			faults = append(faults, &AccountError{i, errors.New("duplicate sid")})
		}
		t.bySid[prepared.Sid] = prepared
		t.sorted = append(t.sorted, prepared)
	}
	for i, account := range accounts {
		if parent := events.CanonicalSid(account.Parent); parent != "" && t.bySid[parent] == nil {
			faults = append(faults, &AccountError{i, errors.New("its parent is not among the accounts; add it, with its auth tokens")})
		}
	}
	if len(accounts) == 0 {
		faults = append(faults, errors.New("no account is configured"))
	}
	if len(faults) > 0 {
		return fmt.Errorf("check accounts: %w", errors.Join(faults...))
	}
	slices.SortFunc(t.sorted, func(x, y *Account) int { return strings.Compare(x.Sid, y.Sid) })
	a.table.Store(t)
	return nil
}

// Lookup finds an account by its SID in either letter case. The account must not be changed.
func (a *Accounts) Lookup(sid string) (*Account, bool) {
	if !events.IsSid("AC", sid) {
		return nil, false
	}
	account, ok := a.load().bySid[events.CanonicalSid(sid)]
	return account, ok
}

// All returns the accounts sorted by SID. They must not be changed.
func (a *Accounts) All() []*Account { return a.load().sorted }

func (a *Accounts) load() *table {
	if t := a.table.Load(); t != nil {
		return t
	}
	return &table{}
}
