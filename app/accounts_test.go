package app

import (
	"slices"
	"testing"

	"gavel/internal/twilio"
)

// Twilio lets the parent's token read a subaccount; Gavel does where the settings name the parent.
func TestAParentsTokensOpenItsSubaccounts(t *testing.T) {
	t.Parallel()
	const parent, subaccount, other = "AC00000000000000000000000000000001", "AC00000000000000000000000000000002", "AC00000000000000000000000000000003"
	const key = "SK00000000000000000000000000000004"
	accounts, err := twilio.NewAccounts([]twilio.Account{
		{Sid: parent, Tokens: twilio.KeyRing{Current: "p"}},
		{Sid: subaccount, Parent: "ac00000000000000000000000000000001", Tokens: twilio.KeyRing{Current: "s"}, APIKey: twilio.APIKey{Sid: key, Secret: "k"}},
		{Sid: other, Tokens: twilio.KeyRing{Current: "o", Next: "n"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := &App{accounts: accounts}
	for user, want := range map[string]struct{ secrets, accounts []string }{
		parent:     {[]string{"p"}, []string{parent, subaccount}},
		subaccount: {[]string{"s"}, []string{subaccount}},
		other:      {[]string{"o", "n"}, []string{other}},
		key:        {[]string{"k"}, []string{subaccount}},
	} {
		secrets, opened := a.logins(user)
		if !slices.Equal(secrets, want.secrets) || !slices.Equal(opened, want.accounts) {
			t.Errorf("%s opens %v with %d secrets, want %v with %d", user, opened, len(secrets), want.accounts, len(want.secrets))
		}
	}
	if _, err := twilio.NewAccounts([]twilio.Account{{Sid: subaccount, Parent: parent, Tokens: twilio.KeyRing{Current: "s"}}}); err == nil {
		t.Error("a parent that is not configured is accepted")
	}
}
