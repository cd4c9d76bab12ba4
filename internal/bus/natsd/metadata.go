package natsd

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/minio/highwayhash"

	"gavel/internal/wholefile"
)

// CopyFile in the data directory holds copies of what describes the streams and consumers of the
// embedded server, and of the state of the consumers at the last stop. It is outside of the server's
// folder, so that one damaged place changes only one of the two.
//
// The server does without a copy: it ignores a stream whose description has a changed bit, stops a
// whole stream because of one consumer's, and does not notice a changed bit in a consumer's state.
const CopyFile = "nats.copy"

// Names of the server's files (nats-server, filestore.go).
const (
	describeFile = "meta.inf"
	sumFile      = "meta.sum"
	stateFile    = "o.dat"
	consumersDir = "obs"
	// setAside is appended to the name of a damaged file that cannot be restored.
	setAside = ".damaged"
)

// copies is the content of CopyFile. Paths are relative to the server's folder.
type copies struct {
	// Described are the descriptions of streams and consumers, by folder.
	Described map[string]string `json:"described"`
	// States are the states of consumers at the last clean stop, by folder. They are valid while Store
	// is what sizesOf returns.
	States map[string][]byte `json:"states,omitempty"`
	Store  string            `json:"store,omitempty"`
}

// folders returns the folders of all streams, and of all consumers.
func folders(store string) (streams, consumers []string) {
	streams, _ = filepath.Glob(filepath.Join(store, "jetstream", "*", "streams", "[^.]*"))
	consumers, _ = filepath.Glob(filepath.Join(store, "jetstream", "*", "streams", "[^.]*", consumersDir, "[^.]*"))
	return streams, consumers
}

// sumOf is the checksum of the description of a stream or consumer, as the server computes it.
func sumOf(folder, text string) string {
	name := filepath.Base(folder)
	if above := filepath.Dir(folder); filepath.Base(above) == consumersDir {
		name = filepath.Base(filepath.Dir(above)) + "/" + name
	}
	key := sha256.Sum256([]byte(name))
	hash, err := highwayhash.New64(key[:])
	if err != nil {
		return "" // the key has the right length
	}
	_, _ = hash.Write([]byte(text)) // it never fails
	return hex.EncodeToString(hash.Sum(nil))
}

// described returns the description of a stream or consumer, false if it is missing or damaged.
func described(folder string) (string, bool) {
	text, err1 := os.ReadFile(filepath.Join(folder, describeFile))
	sum, err2 := os.ReadFile(filepath.Join(folder, sumFile))
	return string(text), err1 == nil && err2 == nil && sumOf(folder, string(text)) == string(sum)
}

// mender repairs the files of a server that does not run.
type mender struct {
	store string // the server's folder
	path  string // of CopyFile
	copies
	log *slog.Logger
}

func (e *Server) mender(store string) *mender {
	return &mender{store: store, path: filepath.Join(e.options.DataDir, CopyFile), log: e.log}
}

// mend repairs what differs from the copies, and makes them again without the states, which change
// from now on.
func (m *mender) mend(full bool) error {
	if err := m.read(); err != nil {
		m.log.Warn("copy of NATS's descriptions cannot be read and is made again", "file", m.path, "error", err)
	}
	streams, consumers := folders(m.store)
	for _, folder := range append(streams, consumers...) {
		if err := m.mendDescription(folder); err != nil {
			return fmt.Errorf("repair the description in %s: %w", folder, err)
		}
	}
	for _, folder := range consumers {
		if err := m.mendState(folder); err != nil {
			return fmt.Errorf("repair the state in %s: %w", folder, err)
		}
	}
	if !full {
		return m.write(false)
	}
	if err := os.Remove(m.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the copies of states: %w", err)
	}
	return nil
}

// read reads the file. A missing one is empty.
func (m *mender) read() error {
	raw, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	sum, body, _ := strings.Cut(string(raw), "\n")
	if sum != checksum(body) {
		return errors.New("it is damaged")
	}
	if err := json.Unmarshal([]byte(body), &m.copies); err != nil {
		return err
	}
	if m.Store != sizesOf(m.store) {
		m.States = nil // another process has used the store since
	}
	return nil
}

func checksum(body string) string { return strconv.FormatUint(xxhash.Sum64String(body), 16) }

// write makes the copies of what is there now, and replaces the file.
func (m *mender) write(states bool) error {
	now := copies{Described: map[string]string{}}
	streams, consumers := folders(m.store)
	for _, folder := range append(streams, consumers...) {
		if text, whole := described(folder); whole {
			now.Described[m.relative(folder)] = text
		}
	}
	if states {
		now.Store, now.States = sizesOf(m.store), map[string][]byte{}
		for _, folder := range consumers {
			if state, err := os.ReadFile(filepath.Join(folder, stateFile)); err == nil {
				now.States[m.relative(folder)] = state
			}
		}
	}
	body, err := json.Marshal(now)
	if err == nil {
		err = wholefile.Write(m.path, checksum(string(body))+"\n"+string(body))
	}
	if err != nil {
		return fmt.Errorf("copy the descriptions of streams: %w", err)
	}
	return nil
}

func (m *mender) relative(folder string) string {
	relative, err := filepath.Rel(m.store, folder)
	if err != nil {
		return folder // both are absolute, or both are not
	}
	return filepath.ToSlash(relative)
}

// mendDescription restores a damaged description. Without a copy it is set aside: Gavel makes its
// own streams and consumers again, and the server finds their messages and states.
func (m *mender) mendDescription(folder string) error {
	if _, whole := described(folder); whole {
		return nil
	}
	text, known := m.Described[m.relative(folder)]
	if !known {
		m.log.Error("description of a stream or consumer is damaged, and no copy of it exists: it is set aside, and a stream or consumer of Gavel is made again", "path", folder)
		return aside(filepath.Join(folder, describeFile))
	}
	m.log.Error("description of a stream or consumer was damaged and is restored from its copy", "path", folder)
	return errors.Join(wholefile.Write(filepath.Join(folder, describeFile), text), wholefile.Write(filepath.Join(folder, sumFile), sumOf(folder, text)))
}

// mendState restores a consumer's state that has changed since the last stop. One that the server
// could not read is set aside: the consumer then begins with the first message.
func (m *mender) mendState(folder string) error {
	path := filepath.Join(folder, stateFile)
	state, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if kept, known := m.States[m.relative(folder)]; known && !bytes.Equal(kept, state) {
		m.log.Error("state of a consumer was damaged and is restored from its copy", "path", folder)
		return wholefile.Write(path, string(kept))
	}
	if len(state) > 0 && !readableState(state) {
		m.log.Error("state of a consumer is damaged and is set aside: its messages are delivered again", "path", folder)
		return aside(path)
	}
	return nil
}

func aside(path string) error {
	err := os.Rename(path, path+setAside)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sizesOf identifies the content of the store by the sizes of the files of messages: each run of
// Gavel stores at least one message.
func sizesOf(store string) string {
	paths, _ := filepath.Glob(filepath.Join(store, "jetstream", "*", "streams", "[^.]*", "msgs", "*.blk"))
	hash := xxhash.New()
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil {
			fmt.Fprintln(hash, filepath.Base(filepath.Dir(filepath.Dir(path))), filepath.Base(path), info.Size())
		}
	}
	return strconv.FormatUint(hash.Sum64(), 16)
}

// readableState reports whether the server can read a consumer's state (nats-server,
// decodeConsumerState): a magic number, a version, four sequences, and two lists. The server would
// also reserve memory for as many elements as the state claims to have.
func readableState(state []byte) bool {
	const magic, newest, header = 22, 2, 2
	if len(state) < header || state[0] != magic || state[1] == 0 || state[1] > newest {
		return false
	}
	r := bytes.NewReader(state[header:])
	next := func() (n uint64, ok bool) {
		n, err := binary.ReadUvarint(r)
		return n, err == nil
	}
	for range 4 {
		if n, ok := next(); !ok || n > 1<<62 {
			return false
		}
	}
	pending, ok := next()
	each := uint64(state[1]) + 1 // the sequences of the message, and its time
	if !ok || pending > uint64(len(state)) {
		return false
	}
	if pending > 0 {
		pending = pending*each + 1 // and a time before the list
	}
	for range pending {
		if _, ok := next(); !ok {
			return false
		}
	}
	redelivered, ok := next()
	return ok && redelivered <= uint64(len(state))
}

// KeepDescriptions makes the copies again, for streams that were made since the start.
func (e *Server) KeepDescriptions() { e.keep(false) }

// keepStates makes the copies after a clean stop.
func (e *Server) keepStates() { e.keep(true) }

func (e *Server) keep(states bool) {
	if e == nil || e.room.full.Load() {
		return
	}
	if err := e.mender(filepath.Join(e.options.DataDir, "nats")).write(states); err != nil {
		e.log.Warn("descriptions of streams and consumers were not copied: damage to them cannot be repaired", "error", err)
	}
}
