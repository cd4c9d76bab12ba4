package project

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"gavel/events"
)

// ErrRebuilding is returned while another rebuild runs.
var ErrRebuilding = errors.New("a rebuild is already running")

// errSwitched ends a session on purpose: the next one begins on the new picture.
var errSwitched = errors.New("switched to the rebuilt picture")

// Rebuild makes a new picture of every lane that this process works, beside the one in use, and
// switches over. If other projectors share the lanes, each rebuilds its own. Rebuild fails if this
// process works no lane, or if a lane moves meanwhile. The lane goes on while the journal is
// folded, and pauses only to fold the entries since and to write the result. progress receives, for
// each lane, the stream sequences read and to be read; several goroutines may call it.
func (p *Projector) Rebuild(ctx context.Context, progress func(lane int, done, total uint64)) error {
	if !p.rebuilding.TryLock() {
		return ErrRebuilding
	}
	defer p.rebuilding.Unlock()
	here := slices.DeleteFunc(slices.Clone(p.keepers), func(k *keeper) bool { return k.lane.Elsewhere() })
	if len(here) == 0 {
		return fmt.Errorf("rebuild: %w: this process works no lane", events.ErrLaneMoved)
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

func (k *keeper) rebuild(ctx context.Context, progress func(done, total uint64)) error {
	upTo := k.status.worked.Load()
	p, err := k.filler.begin(ctx, nil, upTo, func(done uint64) { progress(done, upTo) })
	if err != nil {
		return err
	}
	w := &switchover{filler: k.filler, picture: p, readTo: upTo, done: make(chan error, 1)}
	if err := k.switchTo(ctx, w); err != nil {
		return errors.Join(err, p.build.Abandon(context.WithoutCancel(ctx)))
	}
	if err := <-w.done; err != nil {
		return err
	}
	progress(upTo, upTo)
	return nil
}

// switchTo waits until the session accepts the new picture, while the lane is ours.
func (k *keeper) switchTo(ctx context.Context, w *switchover) error {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case k.switchover <- w:
			return nil
		case <-tick.C:
			if k.lane.Elsewhere() {
				return fmt.Errorf("switch lane %d over: %w", k.lane.Number(), events.ErrLaneMoved)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// switchover is a rebuilt picture for the lane's session.
type switchover struct {
	filler  *filler
	picture *picture
	readTo  uint64
	done    chan error
}

// apply runs between two batches of the lane: it adds the entries processed since
// the rebuild read the journal, and puts the new picture in place. It always ends
// the session, so that nothing of the old picture stays in its cache.
func (w *switchover) apply(ctx context.Context, worked uint64) error {
	err := w.filler.read(ctx, w.picture, w.readTo+1, worked, func(uint64) {})
	if err == nil {
		err = w.filler.put(ctx, w.picture, worked)
	}
	if err != nil {
		err = errors.Join(err, w.picture.build.Abandon(context.WithoutCancel(ctx)))
	}
	w.done <- err
	return errSwitched
}
