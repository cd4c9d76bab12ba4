package chain

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/cespare/xxhash/v2"

	"gavel/events"
	"gavel/internal/wholefile"
)

// StoredFile has, for each lane, the last group that NATS acknowledged to this process. The chain
// covers what was processed; this file covers what was answered with 204 and waits to be processed. It
// is never synced: it survives a kill of the process, and after a power cut it may be behind.
const StoredFile = "chain.stored"

// A mark is five numbers with a checksum. Its place never crosses a sector of the disk, so that a power
// cut leaves the old or the new one.
const (
	markWords = 6
	markPlace = 64
)

// Decisions is the place of the stream of decisions, behind those of the lanes. It has no acceptances.
const Decisions = events.Shards

// Mark is the last group of a lane that NATS acknowledged.
type Mark struct {
	// Created is when the journal's stream was created, Unix time in ns.
	Created int64
	// Accepted is the number of the lane's last acceptance before.
	Accepted uint64
	Sequence uint64 // 0 without one
	Sum      uint64 // XXH64 of the data
}

// markSum is the Sum of a group.
func markSum(data []byte) uint64 { return xxhash.Sum64(data) }

// Compare compares a lane's mark with its journal, and returns nil if the group is there or if the
// chain finds what is wrong. data is the group that the journal has at the mark's sequence, nil without
// one that can be read.
func (m *Mark) Compare(j Journal, data []byte) *Fault {
	switch {
	case m.Created != j.Created || m.Sequence < j.First:
		return nil
	case m.Sequence > j.Last:
		return &Fault{Behind, j.Last + 1, m.Sequence, "NATS acknowledged these groups, and the journal ends before them"}
	case data == nil:
		return &Fault{Damaged, m.Sequence, m.Sequence, "NATS acknowledged this group, and it cannot be read"}
	case markSum(data) != m.Sum:
		return &Fault{Damaged, m.Sequence, m.Sequence, "NATS acknowledged another group here: the journal ended before it and has grown again"}
	}
	return nil
}

// Stored writes the marks. Its methods may be called by many goroutines; a nil Stored does nothing.
type Stored struct {
	atOnce bool
	mu     sync.Mutex
	file   *os.File // nil if it cannot be written
	places [Decisions + 1]place
}

// place is the mark of one lane.
type place struct {
	mark Mark
	// begun: the journal was compared with the mark, which Note replaces from then on.
	begun bool
	dirty bool
}

// OpenStored opens the file in dir. With atOnce, Note writes it: on the disk of the journal, that is
// no further dependency. Otherwise only Flush does, because a disk that hangs must not keep the door
// from storing callbacks in a NATS on another machine.
//
// The error is about marks that are not written; the ones that were read are there.
func OpenStored(dir string, atOnce bool) (*Stored, error) {
	s := &Stored{atOnce: atOnce}
	file, raw, err := wholefile.InPlace(filepath.Join(dir, StoredFile), int64(len(s.places)*markPlace))
	s.file = file
	for lane := range s.places {
		if at := lane * markPlace; len(raw) >= at+markPlace {
			s.places[lane].mark = parseMark(raw[at:])
		}
	}
	if err != nil {
		return s, fmt.Errorf("open the marks of the journal: %w", err)
	}
	return s, nil
}

// parseMark returns the zero Mark for a place without one, or with a damaged one.
func parseMark(raw []byte) Mark {
	var n [markWords]uint64
	for i := range n {
		n[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	if n[markWords-1] != xxhash.Sum64(raw[:8*(markWords-1)]) {
		return Mark{}
	}
	return Mark{Created: int64(n[0]), Accepted: n[1], Sequence: n[2], Sum: n[3]}
}

func (m *Mark) appendTo(b []byte) []byte {
	for _, n := range [markWords - 1]uint64{uint64(m.Created), m.Accepted, m.Sequence, m.Sum, 0} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b))
}

// Mark returns the mark of a lane that was there when the file was opened, unless the lane has begun.
// It is false without one.
func (s *Stored) Mark(lane int) (Mark, bool) {
	if s == nil {
		return Mark{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.places[lane]
	return p.mark, !p.begun && p.mark.Sequence > 0
}

// Begin lets Note replace the mark of a lane. A mark from before the acceptance is removed.
func (s *Stored) Begin(lane int, created int64, accepted uint64) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.places[lane]
	if p.begun && p.mark.Created == created && p.mark.Accepted == accepted {
		return
	}
	if p.mark.Created != created || p.mark.Accepted != accepted {
		p.mark = Mark{Created: created, Accepted: accepted}
		s.write(lane)
	}
	p.begun = true
}

// Begun reports whether Note replaces the mark of a lane, since that acceptance.
func (s *Stored) Begun(lane int, accepted uint64) bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.places[lane].begun && s.places[lane].mark.Accepted == accepted
}

// Note makes a group that NATS acknowledged the mark of its lane.
func (s *Stored) Note(lane int, sequence uint64, data []byte) {
	if s == nil {
		return
	}
	sum := markSum(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.places[lane]
	if !p.begun {
		return
	}
	p.mark.Sequence, p.mark.Sum = sequence, sum
	if p.dirty = true; s.atOnce {
		s.write(lane)
	}
}

// write writes a place, for a caller that holds mu. An error is of no use: the file is a second line
// of defence, and the next write may succeed.
func (s *Stored) write(lane int) {
	s.places[lane].dirty = false
	if s.file != nil {
		var place [8 * markWords]byte
		_, _ = s.file.WriteAt(s.places[lane].mark.appendTo(place[:0]), int64(lane)*markPlace)
	}
}

// Flush writes the marks that changed since.
func (s *Stored) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for lane := range s.places {
		if s.places[lane].dirty {
			s.write(lane)
		}
	}
}

// Close writes what is left and closes the file.
func (s *Stored) Close() error {
	s.Flush()
	s.mu.Lock()
	defer s.mu.Unlock()
	file := s.file
	if s.file = nil; file == nil {
		return nil
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("close the marks of the journal: %w", err)
	}
	return nil
}
