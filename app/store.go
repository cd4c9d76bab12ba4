package app

import (
	"context"
	"fmt"

	"gavel/projections"
	"gavel/projections/ministore"
	"gavel/projections/redisstore"
)

// openStore opens the picture for the roles that write or read it.
func (a *App) openStore(ctx context.Context) (err error) {
	if !a.Roles.Has(Project) && !a.Roles.Has(Serve) && !a.Roles.Has(Act) {
		return nil
	}
	if a.Redis.Embedded() {
		a.store, err = ministore.Open(ministore.NewRedis(), a.bus.Info().Lanes, a.log.With("component", "store"))
	} else {
		a.store, err = a.openRedis(ctx)
	}
	if err != nil {
		return fmt.Errorf("open the picture: %w", err)
	}
	a.life.onStop("store", func(context.Context) error { return a.store.Close() })
	return nil
}

// openRedis opens the picture in an external Redis.
func (a *App) openRedis(ctx context.Context) (projections.Store, error) {
	options, err := a.Redis.Options()
	if err != nil {
		return nil, err
	}
	options.Lanes, options.Log = a.bus.Info().Lanes, a.log.With("component", "store")
	store, err := redisstore.Open(ctx, options)
	if err != nil {
		return nil, err
	}
	for _, warning := range store.Info().Warnings {
		options.Log.Warn(warning)
	}
	return store, nil
}
