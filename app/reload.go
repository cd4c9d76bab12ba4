package app

import "context"

// followReloads reads the accounts again at each Reload, so that a token is rotated without a
// restart, and makes the rule files be proposed again. Everything else counts at the next start.
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
			default: // a waiting one covers those that follow
			}
		}
	})
}

// rereadAccounts replaces the accounts, or keeps all of them if one is wrong. Errors of
// the settings do not quote secrets.
func (a *App) rereadAccounts() {
	accounts, err := a.ReadAccounts()
	if err == nil {
		err = a.accounts.Replace(accounts)
	}
	if err != nil {
		a.log.Error("accounts not reloaded, the settings have faults", "error", err)
		return
	}
	if a.door != nil {
		a.door.ShowKeys()
	}
	a.log.Info("accounts reloaded", "accounts", len(accounts))
}
