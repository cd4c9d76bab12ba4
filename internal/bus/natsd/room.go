package natsd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"

	"gavel/internal/wholefile"
)

const (
	// leastFree is the free space below which a volume counts as full, or 1/leastPart of a small
	// volume: a stream whose write finds no space is frozen until the server starts again. Room
	// is back at twice as much.
	leastFree = 64 << 20
	leastPart = 50
	// reserveBytes is the size of the reserve, or 1/leastPart of a small volume.
	reserveBytes = 2 << 20
)

// ReserveFile in the data directory has no meaning: it occupies the space that a start on a full
// volume needs, for the state of streams and consumers. Such a start removes it.
const ReserveFile = "reserve"

// ErrFull means that the volume of the data directory has too little free space to accept entries.
var ErrFull = errors.New("the volume of the data directory is full")

// room is the state of the volume.
type room struct{ full atomic.Bool }

// Room returns ErrFull, wrapped, while the volume is full. It is nil for a nil Server.
func (e *Server) Room() error {
	if e == nil {
		return nil
	}
	_, free, err := volume(e.options.DataDir)
	if err != nil {
		return fmt.Errorf("read the free space of the volume: %w", err)
	}
	least := min(leastFree, e.options.VolumeBytes/leastPart)
	if e.room.full.Load() {
		least *= 2
	}
	e.room.full.Store(free < least)
	if free >= least {
		return nil
	}
	return fmt.Errorf("%w: %d KiB are free and %d KiB are needed: free some space; gavel then goes on by itself", ErrFull, free>>10, least>>10)
}

// VolumeFree is what is free on the volume in bytes, -1 for a nil Server or if it cannot be read.
func (e *Server) VolumeFree() int64 {
	if e == nil {
		return -1
	}
	_, free, err := volume(e.options.DataDir)
	if err != nil {
		return -1
	}
	return free
}

// useReserve removes the reserve if the volume is full, and else makes it.
func (e *Server) useReserve(log *slog.Logger) error {
	path := filepath.Join(e.options.DataDir, ReserveFile)
	if full := e.Room(); errors.Is(full, ErrFull) {
		log.Warn("volume is full: the start uses the reserve, and accepts no callback", "file", path, "error", full)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the reserve: %w", err)
		}
		return nil
	}
	if _, err := os.Stat(path); err == nil || !e.options.Reserve {
		return nil
	}
	size := min(reserveBytes, e.options.VolumeBytes/leastPart)
	if err := wholefile.Write(path, strings.Repeat("reserve\n", int(size/8))); err != nil {
		log.Warn("reserve could not be made: a start on a full volume could not fill the picture", "file", path, "error", err)
	}
	return nil
}

// shareOf returns what a store may use: what is free on its volume, and its own files. Files of other
// programs are not its room.
func shareOf(dir string) (int64, error) {
	_, share, err := volume(dir)
	if err != nil {
		return 0, err
	}
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			share += info.Size()
		}
		return err
	})
	return share, err
}

// limitsIn returns the sum of the limits of the streams in a store. The server's limit must not be
// lower: it would refuse each change of a stream. Streams that cannot be read do not count.
func limitsIn(dir string) (sum int64) {
	paths, _ := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "*", "meta.inf"))
	for _, path := range paths {
		var stream server.FileStreamInfo
		if text, err := os.ReadFile(path); err == nil && json.Unmarshal(text, &stream) == nil {
			sum += max(stream.MaxBytes, 0)
		}
	}
	return sum
}
