package picture

import (
	"context"
	"log/slog"
	"sync"
)

// sweeper removes key spaces without readers, in the background. The
// lane's pointer lists what it has not finished; the next Check continues it.
type sweeper struct {
	engine Engine
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	busy    map[string]bool // by epoch
	stopped bool
}

func newSweeper(engine Engine, log *slog.Logger) *sweeper {
	ctx, cancel := context.WithCancel(context.Background())
	return &sweeper{
		engine: engine,
		log:    log,
		ctx:    ctx,
		cancel: cancel,
		busy:   map[string]bool{},
	}
}

// sweep removes the keys of an epoch, then removes the epoch from the lane's pointer.
func (s *Store) sweep(lane int, epoch string) {
	if epoch == "" {
		return
	}
	s.sweeper.start(epoch, func(ctx context.Context) error {
		if err := s.engine.Sweep(ctx, epochPrefix(epoch)); err != nil {
			return err
		}
		var c Change
		c.do(RemoveFields, laneKey(lane), dropField+epoch)
		_, err := s.apply(ctx, c)
		return err
	})
}

// start runs work for an epoch, unless it is already running.
func (s *sweeper) start(epoch string, work func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.busy[epoch] {
		return
	}
	s.busy[epoch] = true
	s.wg.Go(func() {
		if err := work(s.ctx); err != nil && s.ctx.Err() == nil {
			s.log.Warn("old picture not swept, the next check retries", "epoch", epoch, "error", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.busy, epoch)
	})
}

// stop cancels all work and waits for it.
func (s *sweeper) stop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
}
