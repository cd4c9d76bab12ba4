package app

import (
	"context"
	"path/filepath"

	"gavel/internal/keys"
	"gavel/internal/twilio"
)

// KeyFile is the file in the data directory that holds the first API key.
const KeyFile = "api-key"

// openKeys makes the accounts' tokens and the API keys valid, and makes the
// first key for the command line.
func (a *App) openKeys(ctx context.Context) (err error) {
	if len(a.Accounts) > 0 {
		if err := a.accounts.Replace(a.Accounts); err != nil {
			return err
		}
	}
	if !a.Roles.Has(Serve) {
		return nil
	}
	log := a.log.With("component", "keys")
	if a.keys, err = keys.Open(ctx, a.bus.Keys(), a.logins, log); err != nil {
		return err
	}
	made, err := a.keys.EnsureFirst(ctx, a.keyFile())
	if err != nil {
		return err
	}
	if made {
		log.Info("first API key made", "file", a.keyFile())
	}
	a.Go("keys", func(ctx context.Context) error { a.keys.Run(ctx); return nil })
	return nil
}

func (a *App) keyFile() string { return filepath.Join(a.DataDir, KeyFile) }

// logins returns the secrets of Twilio's with which a user may log in, and the accounts that they open:
// an account's tokens open it and its subaccounts, as at Twilio, and its API key opens it.
func (a *App) logins(user string) (secrets, accounts []string) {
	for _, account := range a.accounts.All() {
		switch user {
		case account.Sid:
			for _, t := range account.AuthTokens() {
				secrets = append(secrets, t.Secret.Reveal())
			}
			accounts = append(accounts, account.Sid)
		case account.Parent:
			accounts = append(accounts, account.Sid)
		case account.APIKey.Sid:
			secrets, accounts = append(secrets, account.APIKey.Secret.Reveal()), append(accounts, account.Sid)
		}
	}
	return secrets, accounts
}

// openTwilio makes the client that calls Twilio with the accounts' credentials.
func (a *App) openTwilio(context.Context) error {
	if !a.Roles.Has(Serve) && !a.Roles.Has(Act) {
		return nil
	}
	a.twilio = twilio.NewClient(twilio.ClientConfig{
		Base:     a.TwilioAPI,
		Accounts: a.accounts,
		Metrics:  twilio.NewClientMetrics(a.metrics),
	})
	a.life.onStop("calls to Twilio", func(context.Context) error { a.twilio.Close(); return nil })
	return nil
}
