package bus

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrInUse means that another process has the data directory. Two servers on
// one store would destroy it.
var ErrInUse = errors.New("data directory is used by another process")

const (
	// maxMessage bounds a message of the journal. Entries are far smaller (64
	// KiB of form), and so are groups (256 KiB); only an Event Streams item
	// comes near.
	maxMessage = 1 << 20
	// maxPayload leaves room for headers above maxMessage.
	maxPayload = maxMessage + 64<<10
	// maxMemoryStore is what streams in memory may hold. There are none of
	// ours; a person may make one.
	maxMemoryStore = 64 << 20
	// startWithin bounds recovery of the streams at start; a million messages
	// take about a second.
	startWithin = 2 * time.Minute
)

// embedded is a nats-server in this process. The nil *embedded stands for
// none.
type embedded struct {
	*server.Server
	lock         *os.File
	volume       int64 // bytes of the volume that holds the store
	token        string
	tokenFile    string
	notListening string
}

// startServer starts the server on the data directory of c.
func startServer(c Config, log *slog.Logger) (_ *embedded, err error) {
	dir := filepath.Join(c.DataDir, "nats")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make store of the embedded NATS server: %w", err)
	}
	e := &embedded{tokenFile: filepath.Join(c.DataDir, "nats.token")}
	if e.lock, err = lock(filepath.Join(dir, "lock")); err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	if err := e.start(c, dir, log); err != nil {
		return nil, errors.Join(err, e.stop(context.Background()))
	}
	return e, nil
}

func (e *embedded) start(c Config, dir string, log *slog.Logger) error {
	var err error
	if e.volume = c.VolumeBytes; e.volume == 0 {
		if e.volume, err = volumeSize(dir); err != nil {
			return fmt.Errorf("ask for the size of the volume: %w", err)
		}
	}
	opts := e.options(c.Sync, dir)
	if err := e.listen(opts, c.Listen); err != nil {
		return err
	}
	if e.Server, err = server.NewServer(opts); err != nil {
		return fmt.Errorf("make the embedded NATS server: %w", err)
	}
	e.SetLoggerV2(&serverLog{log.With("component", "nats-server")}, false, false, false)
	e.Start()
	if !e.ReadyForConnections(startWithin) || !e.JetStreamEnabled() {
		return errors.New("start the embedded NATS server: it did not get ready; its log says why")
	}
	return nil
}

// options hold what reliability needs. NoSigs, because the server would
// otherwise take the process's signals and exit by itself.
func (e *embedded) options(sync Sync, dir string) *server.Options {
	return &server.Options{
		ServerName:         "gavel",
		JetStream:          true,
		StoreDir:           dir,
		SyncAlways:         sync == SyncAlways,
		JetStreamMaxStore:  e.volume / 100 * storePercent,
		JetStreamMaxMemory: maxMemoryStore,
		MaxPayload:         maxPayload,
		NoSigs:             true,
		DontListen:         true,
		// Nearly every message here has a subject of its own: a cache of matches
		// only fills and is thrown away.
		NoSublistCache: true,
	}
}

// listen opens the server for others, if that was asked for and the address is
// free; the clients need a token then.
func (e *embedded) listen(opts *server.Options, addr string) error {
	if addr == "" || addr == ListenOff {
		return nil
	}
	host, port, err := splitAddress(addr)
	if err != nil {
		return fmt.Errorf("listen address of the embedded NATS server: %w", err)
	}
	// The server itself would give up altogether, so the address is tried
	// here.
	trial, err := net.Listen("tcp", addr)
	if err != nil {
		e.notListening = err.Error()
		return nil
	}
	if err := trial.Close(); err != nil {
		return fmt.Errorf("try listen address of the embedded NATS server: %w", err)
	}
	if e.token, err = loadToken(e.tokenFile); err != nil {
		return err
	}
	opts.DontListen, opts.Host, opts.Port, opts.Authorization = false, host, port, e.token
	return nil
}

// splitAddress reads host:port; port 0 is any free one.
func splitAddress(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port of %q is no number below 65536", addr)
	}
	if n == 0 {
		return host, server.RANDOM_PORT, nil
	}
	return host, int(n), nil
}

// loadToken returns the token in path, and makes one at the first start.
func loadToken(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		token := newToken()
		if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
			return "", fmt.Errorf("keep token of the embedded NATS server: %w", err)
		}
		return token, nil
	}
	if err != nil {
		return "", fmt.Errorf("read token of the embedded NATS server: %w", err)
	}
	token := strings.TrimSpace(string(raw))
	if token == "" {
		return "", fmt.Errorf("read token of the embedded NATS server: %s is empty; remove it to get a new one", path)
	}
	return token, nil
}

// newToken is 128 random bits; crypto/rand never fails.
func newToken() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// volumeBytes is the size of the embedded server's volume, 0 without one.
func (e *embedded) volumeBytes() int64 {
	if e == nil {
		return 0
	}
	return e.volume
}

func (e *embedded) secret() string {
	if e == nil {
		return ""
	}
	return e.token
}

func (e *embedded) info() Info {
	if e == nil {
		return Info{}
	}
	i := Info{Embedded: true, NotListening: e.notListening}
	if e.Addr() != nil {
		i.URL, i.TokenFile = "nats://"+e.Addr().String(), e.tokenFile
	}
	return i
}

// checkSync reads back whether what was asked for is in force. Some stream
// settings turn fsync off without a word.
func (b *Bus) checkSync(journal jetstream.Stream) error {
	if b.config.Sync != SyncAlways || b.server == nil {
		return nil
	}
	if mode := journal.CachedInfo().Config.PersistMode; mode != jetstream.DefaultPersistMode {
		return fmt.Errorf("sync %q is not in force: the journal has persist mode %q", SyncAlways, mode)
	}
	if !b.server.JetStreamConfig().SyncAlways {
		return fmt.Errorf("sync %q is not in force on the embedded NATS server", SyncAlways)
	}
	return nil
}

// stop ends the server and waits for it. LameDuckShutdown would return at once
// without doing anything when the server does not listen.
func (e *embedded) stop(ctx context.Context) error {
	if e == nil {
		return nil
	}
	if e.Server != nil {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			e.Shutdown()
			e.WaitForShutdown()
		}()
		select {
		case <-ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := e.lock.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}

// serverLog passes the server's log on. Its Fatalf must not end the process:
// startServer notices by itself.
type serverLog struct{ log *slog.Logger }

func (l *serverLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *serverLog) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l *serverLog) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l *serverLog) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l *serverLog) Debugf(string, ...any)           {}
func (l *serverLog) Tracef(string, ...any)           {}
