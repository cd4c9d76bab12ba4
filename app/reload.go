package app

import "context"

// followReloads reads the accounts again at each Reload, so that a token is
// rotated without a restart, and lets the rule files be proposed again.
// Everything else counts at the next start.
func (a *App) followReloads() {
	if a.Reload == nil {
		return
	}
	a.Go("settings", func(ctx context.Context) error {
		for {
			select {
			case <-a.Reload:
				a.rereadAccounts()
			case <-ctx.Done():
				return nil
			}
			select {
			case a.reload <- struct{}{}:
			default: // one that waits stands for those that follow
			}
		}
	})
}

// rereadAccounts replaces the accounts, or leaves all of them where one is
// wrong. No fault of the settings quotes a secret.
func (a *App) rereadAccounts() {
	accounts, err := a.ReadAccounts()
	if err == nil {
		err = a.accounts.Replace(accounts)
	}
	if err != nil {
		a.log.Error("accounts stay as they were, the settings are not right", "error", err)
		return
	}
	a.log.Info("accounts were read again", "accounts", len(accounts))
}
