package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

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
		a.store, err = a.openEmbedded(ctx)
	} else {
		a.store, err = a.openRedis(ctx)
	}
	if err != nil {
		return fmt.Errorf("open the picture: %w", err)
	}
	a.life.onStop("store", func(context.Context) error { return a.store.Close() })
	return nil
}

// snapshotEvery is how often the embedded picture is written to a file while the process runs. A
// crash costs a start that reads at most as much of the journal; writing 100,000 conferences takes
// about a second of one core.
const snapshotEvery = 10 * time.Minute

// openEmbedded opens the picture inside the process, with the content of its snapshot. Without a
// snapshot that can be used, the picture is filled from the journal.
func (a *App) openEmbedded(ctx context.Context) (projections.Store, error) {
	log := a.log.With("component", "store")
	store, err := ministore.Open(ministore.NewRedis(), a.bus.Info().Lanes, log)
	if err != nil {
		return nil, err
	}
	journal, err := a.journalOf(ctx)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(a.DataDir, "picture")
	if err := store.Restore(ctx, path, journal); err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("snapshot not used, picture is filled from the journal", "error", err)
	}
	a.resumed = store.Resumed
	save := func(ctx context.Context) {
		written, err := store.WriteSnapshot(ctx, path, journal)
		if err != nil {
			log.Warn("snapshot not written, the next start reads more of the journal", "error", err)
		}
		log.Debug("snapshot of the picture", "written", written)
	}
	a.life.onStop("snapshot", func(ctx context.Context) error { save(ctx); return nil })
	a.Go("snapshots", func(ctx context.Context) error {
		every := time.NewTicker(snapshotEvery)
		defer every.Stop()
		for {
			select {
			case <-every.C:
				save(ctx)
			case <-ctx.Done():
				return nil
			}
		}
	})
	return store, nil
}

// journalOf identifies the journal for a snapshot of the picture.
func (a *App) journalOf(ctx context.Context) (ministore.Journal, error) {
	usage, err := a.bus.Journal().Usage(ctx)
	return ministore.Journal{Created: usage.Created, Last: usage.Last}, err
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
