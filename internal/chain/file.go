package chain

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"

	"gavel/internal/wholefile"
)

// FileName is the file's in the data directory. It is beside the folder of the embedded NATS, so
// that a backup of that folder does not bring the file back as well.
const FileName = "chain"

// File holds the records of lanes outside the journal. It is safe for concurrent use.
type File struct {
	path    string
	heads   string
	mu      sync.Mutex
	lanes   map[int]Record
	changed bool
}

// OpenFile reads the file in dir. A missing one is empty. A file that cannot be read is empty too,
// and the error says why: Gavel goes on with what Redis holds.
func OpenFile(dir string) (*File, error) {
	f := &File{path: filepath.Join(dir, FileName), heads: filepath.Join(dir, HeadsFile), lanes: map[int]Record{}}
	raw, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err == nil {
		err = f.parse(string(raw))
	}
	if err == nil {
		err = readHeads(f.heads, f.lanes)
	}
	if err != nil {
		return f, fmt.Errorf("read the chain of the journal: %w", err)
	}
	return f, nil
}

// parse reads a checksum in the first line and the records behind it.
func (f *File) parse(text string) error {
	sum, body, _ := strings.Cut(text, "\n")
	if sum != checksum(body) {
		return fmt.Errorf("%s is damaged", f.path)
	}
	return json.Unmarshal([]byte(body), &f.lanes)
}

func checksum(body string) string { return strconv.FormatUint(xxhash.Sum64String(body), 16) }

// Get returns the record of a lane.
func (f *File) Get(lane int) Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lanes[lane]
}

// Set replaces the record of a lane. Its head survives the end of the process from now on, and after
// the next Write the record survives a power cut.
func (f *File) Set(lane int, r Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lanes[lane], f.changed = r, true
	writeHead(f.heads, lane, &r)
}

// Write stores the records if one changed since the last Write. When it returns nil, they are on disk.
func (f *File) Write() error {
	f.mu.Lock()
	body, err := json.Marshal(f.lanes)
	changed := f.changed
	f.changed = false
	f.mu.Unlock()
	if err == nil && changed {
		err = wholefile.Write(f.path, checksum(string(body))+"\n"+string(body))
	}
	if err == nil {
		return nil
	}
	f.mu.Lock()
	f.changed = true
	f.mu.Unlock()
	return fmt.Errorf("write the chain of the journal: %w", err)
}
