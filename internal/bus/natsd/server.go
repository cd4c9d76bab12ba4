package natsd

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"gavel/internal/wholefile"
)

// ErrInUse means that another process uses the data directory. Two servers would destroy one store.
var ErrInUse = errors.New("data directory is used by another process")

const (
	// maxMemoryStore bounds the streams in memory. Gavel has none; an operator may create one.
	maxMemoryStore = 64 << 20
	// startWithin bounds recovery of the streams at start; a million messages take about a second.
	startWithin = 2 * time.Minute
)

// ListenOff as Options.Listen keeps clients outside this process away.
const ListenOff = "off"

// Options configure an embedded server.
type Options struct {
	// DataDir holds the token, and the store in the folder nats.
	DataDir string
	// Listen is the host:port for clients outside this process. Empty is ListenOff.
	Listen string
	// SyncAlways syncs messages to disk (fsync) before they are acknowledged.
	SyncAlways bool
	// MaxPayload bounds a message with its headers, in bytes.
	MaxPayload int32
	// VolumeBytes is the assumed size of the volume; 0 means the size that the file system reports.
	VolumeBytes int64
	// StorePercent of the volume is the limit of all streams together.
	StorePercent int64
	// Reserve makes the file ReserveFile.
	Reserve bool
}

// Server is a nats-server in this process. A nil *Server means that NATS is external.
type Server struct {
	*server.Server
	options      Options
	room         room
	share        int64 // StoreBytes, unless the size of the volume is assumed
	lock         *os.File
	log          *slog.Logger
	token        string
	tokenFile    string
	notListening string
}

// TokenFile is the file in the data directory with the token that other processes need to connect.
const TokenFile = "nats.token"

// Start starts a server. Errors wrap ErrInUse if another process uses the data directory.
func Start(o Options, log *slog.Logger) (_ *Server, err error) {
	dir := filepath.Join(o.DataDir, "nats")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make store of the embedded NATS server: %w", err)
	}
	e := &Server{options: o, log: log, tokenFile: filepath.Join(o.DataDir, TokenFile)}
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
		if e.options.VolumeBytes, _, err = volume(dir); err != nil {
			return fmt.Errorf("read the size of the volume: %w", err)
		}
		if e.share, err = shareOf(dir); err != nil {
			return fmt.Errorf("read what the store may use: %w", err)
		}
	}
	if err := e.useReserve(log); err != nil {
		return err
	}
	if err := e.mender(dir).mend(e.room.full.Load()); err != nil {
		return err
	}
	opts := e.serverOptions(dir)
	if err := e.listen(opts, log); err != nil {
		return err
	}
	if e.Server, err = server.NewServer(opts); err != nil {
		return fmt.Errorf("make the embedded NATS server: %w", err)
	}
	e.SetLoggerV2(&serverLog{log.With("component", "nats-server")}, false, false, false)
	e.Start()
	if !e.ReadyForConnections(startWithin) || !e.JetStreamEnabled() {
		return errors.New("start the embedded NATS server: it did not become ready; see its log")
	}
	return nil
}

// serverOptions returns the server's options. NoSigs keeps the server from
// handling the process's signals and exiting by itself.
func (e *Server) serverOptions(dir string) *server.Options {
	return &server.Options{
		ServerName:         "gavel",
		JetStream:          true,
		StoreDir:           dir,
		SyncAlways:         e.options.SyncAlways,
		JetStreamMaxStore:  max(e.StoreBytes()/100*e.options.StorePercent, limitsIn(dir)),
		JetStreamMaxMemory: maxMemoryStore,
		MaxPayload:         e.options.MaxPayload,
		NoSigs:             true,
		DontListen:         true,
		// Nearly every message has its own subject, so a cache of matches would
		// only be filled and discarded.
		NoSublistCache: true,
	}
}

// listen makes the server listen, with a token, if that is configured and the address is free.
func (e *Server) listen(opts *server.Options, log *slog.Logger) error {
	addr := e.options.Listen
	if addr == "" || addr == ListenOff {
		return nil
	}
	host, port, err := splitAddress(addr)
	if err != nil {
		return fmt.Errorf("listen address of the embedded NATS server: %w", err)
	}
	// The server would exit if it could not listen, so the address is tried here.
	trial, err := net.Listen("tcp", addr)
	if err != nil {
		e.notListening = err.Error()
		return nil
	}
	if err := trial.Close(); err != nil {
		return fmt.Errorf("release the listen address of the embedded NATS server: %w", err)
	}
	if e.token, err = loadToken(e.tokenFile, log); err != nil {
		return err
	}
	opts.DontListen, opts.Host, opts.Port, opts.Authorization = false, host, port, e.token
	return nil
}

// splitAddress parses host:port; port 0 means any free port.
func splitAddress(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port of %q is not a number below 65536", addr)
	}
	if n == 0 {
		return host, server.RANDOM_PORT, nil
	}
	return host, int(n), nil
}

// loadToken reads the token from path, and creates it at the first start. A former Gavel did
// not sync the file, so a power cut may have left it empty or with zero bytes: such a file is
// replaced. No client can hold its token.
func loadToken(path string, log *slog.Logger) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read token of the embedded NATS server: %w", err)
	}
	if token := strings.Trim(string(raw), " \t\r\n\x00"); token != "" {
		return token, nil
	}
	if err == nil {
		log.Warn("token of the embedded NATS server was empty and is replaced: clients have to read it again", "file", path)
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	token := hex.EncodeToString(b[:])
	if err := wholefile.Write(path, token+"\n"); err != nil {
		return "", fmt.Errorf("write token of the embedded NATS server: %w", err)
	}
	return token, nil
}

// StoreBytes is what the store may use: its own files and what is free on the volume, or the
// assumed size of the volume. It is 0 without a server.
func (e *Server) StoreBytes() int64 {
	if e == nil {
		return 0
	}
	return cmp.Or(e.share, e.options.VolumeBytes)
}

// Clients returns the URL and the token file for clients outside this process, or
// why the server does not listen. All are empty if Options.Listen is off.
func (e *Server) Clients() (url, tokenFile, notListening string) {
	if e.Addr() == nil {
		return "", "", e.notListening
	}
	return "nats://" + e.Addr().String(), e.tokenFile, e.notListening
}

// SyncsAlways reports whether Options.SyncAlways is in force.
func (e *Server) SyncsAlways() bool { return e.JetStreamConfig().SyncAlways }

// faultTries is how often Fault repeats a check that a busy processor interrupted.
const faultTries = 10

// Fault checks the health of the whole server; it is nil for a nil Server. Narrower
// checks do not detect a frozen stream. Fault may hang together with the server.
//
// Healthz first waits 1 ms for the server to be ready, and answers 500 if that is over: with busy
// processors it was in 4.7 % of the calls. The server was ready when Start returned, so such an
// answer contains nothing about JetStream, and the check is repeated. A server that answers nothing
// else does not answer the watchdog's request either.
func (e *Server) Fault() error {
	if e == nil {
		return nil
	}
	for range faultTries {
		switch h := e.Healthz(nil); {
		case h.Error == "":
			return nil
		case h.StatusCode != http.StatusInternalServerError:
			return fmt.Errorf("embedded NATS server: %s", h.Error)
		}
	}
	return nil
}

// Stop stops the server and waits until it has stopped or ctx ends. LameDuckShutdown
// does nothing if the server does not listen.
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
		e.keepStates()
	}
	if err := e.lock.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}

// serverLog writes the server's log to slog. Fatalf must not end the process: Start
// detects the failure.
type serverLog struct{ log *slog.Logger }

func (l *serverLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *serverLog) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l *serverLog) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l *serverLog) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l *serverLog) Debugf(string, ...any)           {}
func (l *serverLog) Tracef(string, ...any)           {}
