package natsd

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
)

// ErrInUse means that another process has the data directory. Two servers on
// one store would destroy it.
var ErrInUse = errors.New("data directory is used by another process")

const (
	// maxMemoryStore is what streams in memory may hold. There are none of
	// ours; a person may make one.
	maxMemoryStore = 64 << 20
	// startWithin bounds recovery of the streams at start; a million messages
	// take about a second.
	startWithin = 2 * time.Minute
)

// ListenOff is the Options.Listen of a server that is reached only from inside
// this process.
const ListenOff = "off"

// Options are those of an embedded server.
type Options struct {
	// DataDir holds the token, and the store in its folder nats.
	DataDir string
	// Listen is the host:port for clients outside this process; empty or
	// ListenOff: none.
	Listen string
	// SyncAlways: messages are on disk (fsync) before they are acknowledged.
	SyncAlways bool
	// MaxPayload bounds a message with its headers, in bytes.
	MaxPayload int32
	// VolumeBytes is the size that the volume is taken to have; 0 asks the file
	// system.
	VolumeBytes int64
	// StorePercent of the volume is what all streams together may hold.
	StorePercent int64
}

// Server is a nats-server in this process. The nil *Server stands for none.
type Server struct {
	*server.Server
	options      Options
	lock         *os.File
	token        string
	tokenFile    string
	notListening string
}

// TokenFile is the file in the data directory that holds the token by which
// other processes connect to the server.
const TokenFile = "nats.token"

// Start starts a server. Errors wrap ErrInUse where another process has the data
// directory.
func Start(o Options, log *slog.Logger) (_ *Server, err error) {
	dir := filepath.Join(o.DataDir, "nats")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make store of the embedded NATS server: %w", err)
	}
	e := &Server{options: o, tokenFile: filepath.Join(o.DataDir, TokenFile)}
	if e.lock, err = lock(filepath.Join(dir, "lock")); err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	if err := e.start(dir, log); err != nil {
		return nil, errors.Join(err, e.Stop(context.Background()))
	}
	return e, nil
}

func (e *Server) start(dir string, log *slog.Logger) (err error) {
	if e.options.VolumeBytes == 0 {
		if e.options.VolumeBytes, err = volumeSize(dir); err != nil {
			return fmt.Errorf("ask for the size of the volume: %w", err)
		}
	}
	opts := e.serverOptions(dir)
	if err := e.listen(opts); err != nil {
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

// serverOptions hold what reliability needs. NoSigs, because the server would
// otherwise take the process's signals and exit by itself.
func (e *Server) serverOptions(dir string) *server.Options {
	return &server.Options{
		ServerName:         "gavel",
		JetStream:          true,
		StoreDir:           dir,
		SyncAlways:         e.options.SyncAlways,
		JetStreamMaxStore:  e.options.VolumeBytes / 100 * e.options.StorePercent,
		JetStreamMaxMemory: maxMemoryStore,
		MaxPayload:         e.options.MaxPayload,
		NoSigs:             true,
		DontListen:         true,
		// Nearly every message here has a subject of its own: a cache of matches
		// only fills and is thrown away.
		NoSublistCache: true,
	}
}

// listen opens the server for others, if that was asked for and the address is
// free; the clients need a token then.
func (e *Server) listen(opts *server.Options) error {
	addr := e.options.Listen
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

// VolumeBytes is the size of the volume, 0 without a server.
func (e *Server) VolumeBytes() int64 {
	if e == nil {
		return 0
	}
	return e.options.VolumeBytes
}

// Clients says how clients outside this process reach the server: its URL and the
// file of the token that they need, or why it does not listen although it should.
// All are empty where it should not.
func (e *Server) Clients() (url, tokenFile, notListening string) {
	if e.Addr() == nil {
		return "", "", e.notListening
	}
	return "nats://" + e.Addr().String(), e.tokenFile, e.notListening
}

// SyncsAlways reports whether Options.SyncAlways is in force.
func (e *Server) SyncsAlways() bool { return e.JetStreamConfig().SyncAlways }

// Fault checks the health of the whole server, nil without one. Narrower checks do
// not see a frozen stream. It may hang together with the server.
func (e *Server) Fault() error {
	if e == nil {
		return nil
	}
	if h := e.Healthz(nil); h.Error != "" {
		return fmt.Errorf("embedded NATS server: %s", h.Error)
	}
	return nil
}

// Stop ends the server and waits for it until ctx ends. LameDuckShutdown would return at once
// without doing anything when the server does not listen.
func (e *Server) Stop(ctx context.Context) error {
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
// Start notices by itself.
type serverLog struct{ log *slog.Logger }

func (l *serverLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *serverLog) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l *serverLog) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l *serverLog) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l *serverLog) Debugf(string, ...any)           {}
func (l *serverLog) Tracef(string, ...any)           {}
