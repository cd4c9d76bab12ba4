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
	if a.keys, err = keys.Open(ctx, a.bus.Keys(), a.tokensOf, log); err != nil {
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

// tokensOf returns the tokens with which an account may authenticate itself.
func (a *App) tokensOf(accountSid string) (tokens []string) {
	account, ok := a.accounts.Lookup(accountSid)
	if !ok {
		return nil
	}
	for _, t := range account.AuthTokens() {
		tokens = append(tokens, t.Secret.Reveal())
	}
	return tokens
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
