package ministore

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"time"

	"gavel/internal/wholefile"
	"gavel/projections"
	"gavel/projections/internal/picture"
)

// A snapshot is a file: one line of JSON (header), the slots, and the SHA-256 of all that. A slot
// is its name, its hashes and its sets; an empty name ends the slots. A text is written after its
// length, and numbers are varints.

// snapshotFormat is the format of a snapshot. A change of records or keys needs no new one: the
// picture's layout is in its keys.
const snapshotFormat = 1

// ErrSnapshot is returned for a snapshot that cannot be used: it is damaged, of another format, or
// of another journal. The picture must be filled from the journal.
var ErrSnapshot = errors.New("snapshot of the picture cannot be used")

// Journal identifies the journal that a picture is made from.
type Journal struct {
	// Created is when its stream was created: a stream that was made again has reused sequences.
	Created time.Time
	// Last is its newest stream sequence. A journal that is behind the picture has lost entries.
	Last uint64
}

type header struct {
	Format  int       `json:"format"`
	Journal time.Time `json:"journal"`
	Lanes   int       `json:"lanes"`
}

// WriteSnapshot writes a snapshot of the picture to a file, in one step that survives a power cut.
// It locks the store for one slot at a time. It writes nothing, and returns false, if nothing
// changed since it last did, or if a lane is being filled: the last snapshot is worth more.
func (s *Store) WriteSnapshot(ctx context.Context, path string, journal Journal) (written bool, err error) {
	s.saving.Lock()
	defer s.saving.Unlock()
	if filled, err := s.Filled(ctx); err != nil || !filled {
		return false, err
	}
	changes, names := s.redis.contents(s.Pointers())
	if changes == s.saved {
		return false, nil
	}
	err = wholefile.WriteBy(path, func(w io.Writer) error {
		sum := sha256.New()
		out := bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<16)
		head, err := json.Marshal(header{snapshotFormat, journal.Created.UTC(), len(s.Pointers())})
		if err != nil {
			return err
		}
		_, err = out.Write(append(head, '\n'))
		for i := 0; i < len(names) && err == nil; i++ {
			_, err = out.Write(s.redis.encode(names[i]))
		}
		if err == nil {
			_, err = out.Write(appendText(nil, ""))
		}
		if err := errors.Join(err, out.Flush()); err != nil {
			return err
		}
		_, err = w.Write(sum.Sum(nil))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("write a snapshot of the picture: %w", err)
	}
	s.saved = changes
	return true, nil
}

// contents returns the number of changes, and the names of all slots, the given ones first.
func (r *Redis) contents(first []string) (changes uint64, names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	names = slices.Clone(first)
	for name := range r.slots {
		if !slices.Contains(first, name) {
			names = append(names, name)
		}
	}
	return r.changes, names
}

// encode returns a slot as a snapshot has it.
func (r *Redis) encode(name string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slots[name]
	if s == nil {
		return nil
	}
	b := binary.AppendUvarint(appendText(nil, name), uint64(len(s.hashes)))
	for key, f := range s.hashes {
		b = binary.AppendUvarint(appendText(b, key), uint64(len(f)))
		for _, text := range f {
			b = appendText(b, text)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(s.sets)))
	for key, set := range s.sets {
		b = binary.AppendUvarint(appendText(b, key), uint64(len(set.members)))
		for _, ref := range set.members {
			b = appendText(binary.AppendVarint(b, ref.Score), ref.Member)
		}
	}
	return b
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// Restore reads a snapshot into the empty store. Readers find a lane of it when a fill has
// continued the lane behind the snapshot (see Resumed). The error is fs.ErrNotExist without a
// file, and ErrSnapshot with the reason if the file cannot be used; the store is empty then.
func (s *Store) Restore(ctx context.Context, path string, journal Journal) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the snapshot of the picture: %w", err)
	}
	defer file.Close()
	slots, err := readSnapshot(file, journal, len(s.Pointers()))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	s.redis.mu.Lock()
	s.redis.slots = slots
	s.redis.mu.Unlock()
	if err := s.resumeAll(ctx, journal.Last); err != nil {
		s.redis.Empty()
		return fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	return nil
}

// resumeAll hides all lanes from readers. A lane that the snapshot does not have is filled whole.
func (s *Store) resumeAll(ctx context.Context, last uint64) error {
	resumed := make(map[int]projections.Resumed, len(s.Pointers()))
	for lane := range s.Pointers() {
		r, err := s.Store.Resume(ctx, lane)
		if errors.Is(err, projections.ErrLost) {
			continue
		}
		if err != nil {
			return err
		}
		if r.Applied.Sequence > last {
			return fmt.Errorf("lane %d is at %v, behind the journal's end at %d", lane, r.Applied, last)
		}
		resumed[lane] = r
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resumed = resumed
	return nil
}

// Resumed returns a lane's picture from the snapshot, once; ok is false if it has none.
func (s *Store) Resumed(lane int) (r projections.Resumed, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok = s.resumed[lane]
	delete(s.resumed, lane)
	return r, ok
}

// readSnapshot reads a whole snapshot, after its checksum and its header were compared.
func readSnapshot(file *os.File, journal Journal, lanes int) (map[string]*slot, error) {
	size, err := checkSum(file, sha256.New())
	if err != nil {
		return nil, err
	}
	d := &snapshotReader{in: bufio.NewReaderSize(io.NewSectionReader(file, 0, size), 1<<16)}
	line, err := d.in.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("read its header: %w", err)
	}
	var h header
	if err := json.Unmarshal(line, &h); err != nil {
		return nil, fmt.Errorf("read its header: %w", err)
	}
	switch {
	case h.Format != snapshotFormat:
		return nil, fmt.Errorf("it has format %d, not %d", h.Format, snapshotFormat)
	case !h.Journal.Equal(journal.Created):
		return nil, fmt.Errorf("it is of a journal created at %v, not at %v", h.Journal, journal.Created.UTC())
	case h.Lanes != lanes:
		return nil, fmt.Errorf("it has %d lanes, not %d", h.Lanes, lanes)
	}
	return d.slots()
}

// checkSum compares the digest at the end of the file and returns the size before it.
func checkSum(file *os.File, sum hash.Hash) (size int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if size = info.Size() - int64(sum.Size()); size < 0 {
		return 0, errors.New("it is cut off")
	}
	if _, err := io.Copy(sum, io.NewSectionReader(file, 0, size)); err != nil {
		return 0, err
	}
	stated := make([]byte, sum.Size())
	if _, err := file.ReadAt(stated, size); err != nil {
		return 0, err
	}
	if !bytes.Equal(stated, sum.Sum(nil)) {
		return 0, errors.New("it is damaged: its checksum differs")
	}
	return size, nil
}

// snapshotReader reads values. After its first error every value is zero.
type snapshotReader struct {
	in  *bufio.Reader
	err error
	buf []byte
	// seen are the members of the slot's sets: a conference is a member of several.
	seen map[string]string
}

func (d *snapshotReader) slots() (map[string]*slot, error) {
	slots := map[string]*slot{}
	for name := d.text(); name != "" && d.err == nil; name = d.text() {
		d.seen = map[string]string{}
		slots[name] = d.slot()
	}
	return slots, d.err
}

func (d *snapshotReader) slot() *slot {
	n := d.count()
	s := &slot{hashes: make(map[string]fields, n), sets: map[string]*set{}}
	for ; n > 0 && d.err == nil; n-- {
		key := d.text()
		f := make(fields, d.count())
		for i := range f {
			f[i] = d.text()
		}
		s.hashes[key] = f
	}
	for n := d.count(); n > 0 && d.err == nil; n-- {
		key := d.text()
		set := &set{members: make(order, d.count())}
		for i := range set.members {
			set.members[i] = picture.Ref{Score: d.number(), Member: d.member()}
		}
		set.mapIfLong()
		s.sets[key] = set
	}
	return s
}

func (d *snapshotReader) number() int64 {
	n, err := binary.ReadVarint(d.in)
	d.err = errors.Join(d.err, err)
	return n
}

// count reads a length. The checksum was compared, so it is what was written.
func (d *snapshotReader) count() int {
	n, err := binary.ReadUvarint(d.in)
	d.err = errors.Join(d.err, err)
	return int(n) //nolint:gosec // see above
}

// bytes reads a text into memory that the next call uses again.
func (d *snapshotReader) bytes() []byte {
	n := d.count()
	if d.err != nil {
		return nil
	}
	d.buf = slices.Grow(d.buf[:0], n)[:n]
	_, d.err = io.ReadFull(d.in, d.buf)
	return d.buf
}

func (d *snapshotReader) text() string { return string(d.bytes()) }

// member reads a text that the slot may have had before.
func (d *snapshotReader) member() string {
	b := d.bytes()
	text, known := d.seen[string(b)]
	if !known {
		text = string(b)
		d.seen[text] = text
	}
	return text
}
