package project

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"gavel/projections"
)

// ErrRebuilding is returned while another rebuild runs.
var ErrRebuilding = errors.New("a rebuild is already running")

// errSwitched ends a session on purpose: the next one begins on the new
// picture.
var errSwitched = errors.New("switched to the rebuilt picture")

// Rebuild makes every lane's picture anew beside the one that is read, and
// switches over. The journal is folded while the lane goes on; the lane pauses
// only to take what came meanwhile and to write the result. progress is told
// stream sequences read and to be read, over all lanes; it may be called from
// several goroutines.
func (p *Projector) Rebuild(ctx context.Context, progress func(lane int, done, total uint64)) error {
	if !p.rebuilding.TryLock() {
		return ErrRebuilding
	}
	defer p.rebuilding.Unlock()
	g, ctx := errgroup.WithContext(ctx)
	for _, k := range p.keepers {
		g.Go(func() error {
			return k.rebuild(ctx, func(done, total uint64) { progress(k.lane.Number(), done, total) })
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	return nil
}

func (k *keeper) rebuild(ctx context.Context, progress func(done, total uint64)) error {
	upTo := k.worked.Load()
	f, err := k.newFold()
	if err != nil {
		return err
	}
	if err := k.read(ctx, f, 1, upTo, func(done uint64) { progress(done, upTo) }); err != nil {
		return err
	}
	build, err := k.Store.Build(ctx, k.lane.Number())
	if err != nil {
		return fmt.Errorf("begin a new picture: %w", err)
	}
	w := switchover{keeper: k, fold: f, readTo: upTo, build: build, done: make(chan error, 1)}
	select {
	case k.switchover <- w:
	case <-ctx.Done():
		return errors.Join(ctx.Err(), build.Abandon(context.WithoutCancel(ctx)))
	}
	if err := <-w.done; err != nil {
		return err
	}
	progress(upTo, upTo)
	return nil
}

// switchover is a rebuilt picture on its way to the lane that shall use it.
type switchover struct {
	*keeper
	fold   *fold
	readTo uint64
	build  projections.Build
	done   chan error
}

// take runs between two batches of the lane: it folds what was worked since
// the rebuild read the journal, and puts the new picture in place. It ends the
// session either way, so that nothing of the old picture stays in its cache.
func (w switchover) take(ctx context.Context, worked uint64) error {
	err := w.read(ctx, w.fold, w.readTo+1, worked, func(uint64) {})
	if err == nil {
		err = w.put(ctx, w.build, w.fold, worked)
	}
	if err != nil {
		err = errors.Join(err, w.build.Abandon(context.WithoutCancel(ctx)))
	}
	w.done <- err
	return errSwitched
}
