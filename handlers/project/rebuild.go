package project

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"gavel/events"
	"gavel/projections"
)

// ErrRebuilding is returned while another rebuild runs.
var ErrRebuilding = errors.New("a rebuild is already running")

// errSwitched ends a session on purpose: the next one begins on the new
// picture.
var errSwitched = errors.New("switched to the rebuilt picture")

// Rebuild makes the picture of every lane that is worked here anew, beside the
// one that is read, and switches over. Where other projectors share the lanes,
// each rebuilds its own; it fails if none is here, or one leaves meanwhile. The
// journal is folded while the lane goes on; the lane pauses
// only to take what came meanwhile and to write the result. progress is told
// stream sequences read and to be read, over all lanes; it may be called from
// several goroutines.
func (p *Projector) Rebuild(ctx context.Context, progress func(lane int, done, total uint64)) error {
	if !p.rebuilding.TryLock() {
		return ErrRebuilding
	}
	defer p.rebuilding.Unlock()
	here := p.here()
	if len(here) == 0 {
		return fmt.Errorf("rebuild: %w: none is worked in this process", events.ErrLaneMoved)
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, k := range here {
		g.Go(func() error {
			return k.rebuild(ctx, func(done, total uint64) { progress(k.lane.Number(), done, total) })
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	return nil
}

// here are the keepers of lanes that no other projector has.
func (p *Projector) here() (here []*keeper) {
	for _, k := range p.keepers {
		if !k.lane.Elsewhere() {
			here = append(here, k)
		}
	}
	return here
}

func (k *keeper) rebuild(ctx context.Context, progress func(done, total uint64)) error {
	upTo := k.status.worked.Load()
	p, err := k.filler.newPicture()
	if err != nil {
		return err
	}
	if err := k.filler.read(ctx, p, 1, upTo, func(done uint64) { progress(done, upTo) }); err != nil {
		return err
	}
	build, err := k.filler.store.Build(ctx, k.filler.lane)
	if err != nil {
		return fmt.Errorf("begin a new picture: %w", err)
	}
	w := &switchover{filler: k.filler, picture: p, readTo: upTo, build: build, done: make(chan error, 1)}
	if err := k.switchTo(ctx, w); err != nil {
		return errors.Join(err, build.Abandon(context.WithoutCancel(ctx)))
	}
	if err := <-w.done; err != nil {
		return err
	}
	progress(upTo, upTo)
	return nil
}

// switchTo waits until the lane takes the new picture, for as long as it is ours.
func (k *keeper) switchTo(ctx context.Context, w *switchover) error {
	look := time.NewTicker(checkEvery)
	defer look.Stop()
	for {
		select {
		case k.switchover <- w:
			return nil
		case <-look.C:
			if k.lane.Elsewhere() {
				return fmt.Errorf("switch lane %d over: %w", k.lane.Number(), events.ErrLaneMoved)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// switchover is a rebuilt picture on its way to the session that shall use it.
type switchover struct {
	filler  *filler
	picture *picture
	readTo  uint64
	build   projections.Build
	done    chan error
}

// take runs between two batches of the lane: it adds what was worked since the
// rebuild read the journal, and puts the new picture in place. It ends the
// session either way, so that nothing of the old picture stays in its cache.
func (w *switchover) take(ctx context.Context, worked uint64) error {
	err := w.filler.read(ctx, w.picture, w.readTo+1, worked, func(uint64) {})
	if err == nil {
		err = w.filler.put(ctx, w.build, w.picture, worked)
	}
	if err != nil {
		err = errors.Join(err, w.build.Abandon(context.WithoutCancel(ctx)))
	}
	w.done <- err
	return errSwitched
}
