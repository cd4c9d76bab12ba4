package main

import (
	"context"
	"os"

	"gavel/internal/twilio"
)

// rereadOn reads the accounts again with each of the signals, so that a token
// is rotated without a restart. Everything else counts at the next start.
func (a *app) rereadOn(signals <-chan os.Signal, read func() ([]twilio.Account, error)) {
	a.work("settings", func(ctx context.Context) error {
		for {
			select {
			case <-signals:
				a.reread(read)
			case <-ctx.Done():
				return nil
			}
		}
	})
}

// reread replaces the accounts, or leaves all of them where one is wrong. No
// fault of the settings quotes a secret.
func (a *app) reread(read func() ([]twilio.Account, error)) {
	accounts, err := read()
	if err == nil {
		err = a.accounts.Replace(accounts)
	}
	if err != nil {
		a.log.Error("accounts stay as they were, the settings are not right", "error", err)
		return
	}
	a.log.Info("accounts were read again", "accounts", len(accounts))
}
