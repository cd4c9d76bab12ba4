//go:build linux

package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/app"
	"gavel/internal/brakes"
	"gavel/internal/bus/natsd"
	"gavel/internal/keys"
	"gavel/internal/twilio/twiliofake"
)

// inVolume names the environment variable that makes a process of this test binary run on a volume of
// its own: a tmpfs in a mount namespace that ends with the process.
const inVolume = "APP_TEST_VOLUME"

// TestAFullVolumeLeavesReadsAndTheStop fills the volume of an embedded Gavel to the last byte.
func TestAFullVolumeLeavesReadsAndTheStop(t *testing.T) {
	t.Parallel()
	onItsVolume(t, fullVolume)
}

// onItsVolume runs a story in a process of its own, on a volume of 64 MB.
func onItsVolume(t *testing.T, story func(t *testing.T, dir string)) {
	t.Helper()
	if dir := os.Getenv(inVolume); dir != "" {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
			t.Fatal(err)
		}
		story(t, dir)
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=90s")
	child.Env = append(os.Environ(), inVolume+"="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := child.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skip("this system allows no mount namespaces")
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// token is that of options.
const token = "12345abcdef67890fedcba0987654321"

// running is a process whose starts the test follows.
type running struct {
	*testing.T
	starts  chan *app.App
	ended   chan error
	stop    context.CancelFunc
	options app.Options
	base    string
}

func startOn(t *testing.T, dir string) *running {
	o := options(t)
	o.DataDir = filepath.Join(dir, "data")
	ctx, stop := context.WithCancel(context.Background())
	r := &running{T: t, starts: make(chan *app.App, 10), ended: make(chan error, 1), stop: stop, options: o}
	go func() { r.ended <- app.Run(ctx, o, func(a *app.App) { r.starts <- a }) }()
	r.next()
	return r
}

// next waits for the next start.
func (r *running) next() {
	r.Helper()
	select {
	case a := <-r.starts:
		r.base = "http://" + a.Info().Public
	case err := <-r.ended:
		r.Fatalf("the process ended: %v", err)
	case <-time.After(2 * time.Minute):
		r.Fatal("no start within 30 s")
	}
}

func (r *running) end() {
	r.Helper()
	r.stop()
	if err := <-r.ended; err != nil {
		r.Logf("end: %v", err) // a frozen stream cannot store its state
	}
}

// call sends one callback, signed as Twilio signs, and returns the status.
func (r *running) call(number int) int {
	r.Helper()
	account := r.options.Accounts[0]
	form := url.Values{
		"AccountSid": {account.Sid}, "ConferenceSid": {"CF0123456789abcdef0123456789abcdef"}, "FriendlyName": {"room"},
		"StatusCallbackEvent": {"conference-start"}, "SequenceNumber": {fmt.Sprint(number)}, "Timestamp": {"Sun, 22 Nov 2026 12:00:00 +0000"},
	}
	target := r.base + "/twilio/conference"
	request, _ := http.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("X-Twilio-Signature", twiliofake.Signature(token, target, form))
	return r.do(request)
}

func (r *running) do(request *http.Request) int {
	r.Helper()
	began := time.Now()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0 // between two starts
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	if took := time.Since(began); took > 3*time.Second {
		r.Errorf("%s took %s: %d %s", request.URL.Path, took, response.StatusCode, text)
	}
	return response.StatusCode
}

// read reads the conference with the account's token.
func (r *running) read() int {
	account := r.options.Accounts[0]
	request, _ := http.NewRequest(http.MethodGet, r.base+"/2010-04-01/Accounts/"+account.Sid+"/Conferences/CF0123456789abcdef0123456789abcdef.json", nil)
	request.SetBasicAuth(account.Sid, token)
	return r.do(request)
}

func (r *running) get(path string) int {
	request, _ := http.NewRequest(http.MethodGet, r.base+path, nil)
	return r.do(request)
}

// until polls a real condition.
func (r *running) until(what string, want int, is func() int) {
	r.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); ; <-tick.C {
		select {
		case a := <-r.starts:
			r.base = "http://" + a.Info().Public
		case err := <-r.ended:
			r.Fatalf("%s: the process ended: %v", what, err)
		default:
		}
		got := is()
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			r.Fatalf("%s: %d, want %d", what, got, want)
		}
	}
}

// fillUp writes until the volume has no byte left.
func fillUp(t *testing.T, dir string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "other")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	for size := 64 << 10; err == nil && size > 0; {
		if _, full := f.Write(make([]byte, size)); full != nil {
			size /= 2
		}
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func fullVolume(t *testing.T, dir string) {
	r := startOn(t, dir)
	r.until("ready", http.StatusOK, func() int { return r.get("/readyz") })
	r.until("a callback", http.StatusNoContent, func() int { return r.call(0) })
	r.until("the conference", http.StatusOK, r.read)

	other := fillUp(t, dir)
	r.until("a callback right after the last byte", http.StatusServiceUnavailable, func() int { return r.call(1) })
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	r.until("a callback with space again", http.StatusNoContent, func() int { return r.call(2) })
	r.until("ready with space again", http.StatusOK, func() int { return r.get("/readyz") })

	fillUp(t, dir)
	r.until("readiness on a full volume", http.StatusServiceUnavailable, func() int { return r.get("/readyz/door") })
	r.until("a callback on a full volume", http.StatusServiceUnavailable, func() int { return r.call(1) })
	if got := r.read(); got != http.StatusOK {
		t.Errorf("a read on a full volume: %d", got)
	}
	r.end()

	r = startOn(t, dir)
	r.until("a read after a start on a full volume", http.StatusOK, r.read)
	if ready, call, alive := r.get("/readyz"), r.call(1), r.get("/healthz"); ready != 503 || call != 503 || alive != 200 {
		t.Errorf("after a start on a full volume: /readyz %d, a callback %d, /healthz %d", ready, call, alive)
	}
	fillUp(t, dir) // the reserve as well
	if err := brakes.WriteStopFile(r.options.DataDir, brakes.Stop{Reason: "the volume is full"}); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	r.until("ready after a start on a full volume", http.StatusOK, func() int { return r.get("/readyz") })
	r.until("a callback after a start on a full volume", http.StatusNoContent, func() int { return r.call(1) })
	r.end()
}

// TestAFormerGavelsDataIsReadOnAFullVolume starts on data without a number of its format, a reserve,
// marks in the buckets, a snapshot, and the present settings of the lane's consumer.
func TestAFormerGavelsDataIsReadOnAFullVolume(t *testing.T) {
	t.Parallel()
	onItsVolume(t, formerData)
}

func formerData(t *testing.T, dir string) {
	r := startOn(t, dir)
	r.until("ready", http.StatusOK, func() int { return r.get("/readyz") })
	r.until("a callback", http.StatusNoContent, func() int { return r.call(0) })
	r.until("the conference", http.StatusOK, r.read)
	r.end()
	r.makeFormer()
	other := fillUp(t, dir)

	r = startOn(t, dir)
	r.until("a read after a start on a full volume", http.StatusOK, r.read)
	if ready, call, alive := r.get("/readyz"), r.call(1), r.get("/healthz"); ready != 503 || call != 503 || alive != 200 {
		t.Errorf("after a start on a full volume: /readyz %d, a callback %d, /healthz %d", ready, call, alive)
	}
	if got := r.keyed("/v1/stop"); got != http.StatusOK {
		t.Errorf("the API with the key on a full volume: %d", got)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	r.until("ready with space again", http.StatusOK, func() int { return r.get("/readyz") })
	r.until("a callback with space again", http.StatusNoContent, func() int { return r.call(1) })
	if got := r.keyed("/v1/stop"); got != http.StatusOK {
		t.Errorf("the API with the key and space again: %d", got)
	}
	r.end()
}

// keyed gets a path of the API with the first key.
func (r *running) keyed(path string) int {
	r.Helper()
	sid, secret, err := keys.ReadFile(filepath.Join(r.options.DataDir, "api-key"))
	if err != nil {
		r.Fatal(err)
	}
	request, _ := http.NewRequest(http.MethodGet, r.base+path, nil)
	request.SetBasicAuth(sid, secret)
	return r.do(request)
}

// makeFormer removes from the data what the build 7921494 did not write.
func (r *running) makeFormer() {
	r.Helper()
	data, ctx := r.options.DataDir, r.Context()
	server, err := natsd.Start(natsd.Options{DataDir: data, MaxPayload: 2 << 20, StorePercent: 90}, r.options.Log)
	if err != nil {
		r.Fatal(err)
	}
	conn, err1 := nats.Connect("", nats.InProcessServer(server.Server))
	js, err2 := jetstream.New(conn)
	journal, err3 := js.Stream(ctx, "GAVEL_JOURNAL")
	lane, err4 := js.Consumer(ctx, "GAVEL_JOURNAL", "project-0")
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		r.Fatal(err)
	}
	settings, consumer := journal.CachedInfo().Config, lane.CachedInfo().Config
	delete(settings.Metadata, "gavel.guarded")
	consumer.Description = "One of a former Gavel."
	_, err1 = js.UpdateStream(ctx, settings)
	_, err2 = js.UpdateConsumer(ctx, "GAVEL_JOURNAL", consumer)
	err3 = js.DeleteConsumer(ctx, "GAVEL_TIMERS", "rings")
	for _, bucket := range []string{"KV_GAVEL_RULES", "KV_GAVEL_BRAKES"} {
		stream, err := js.Stream(ctx, bucket)
		for _, marks := range []string{".mark.>", ".deleted.>"} {
			if err == nil {
				err = stream.Purge(ctx, jetstream.WithPurgeSubject("$KV."+strings.TrimPrefix(bucket, "KV_")+marks))
			}
		}
		err4 = errors.Join(err4, err)
	}
	conn.Close()
	faults := []error{err1, err2, err3, err4, server.Stop(context.Background())}
	for _, name := range []string{natsd.ReserveFile, natsd.CopyFile, "format", "picture", "chain", "chain.stored"} {
		if err := os.Remove(filepath.Join(data, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		r.Fatal(err)
	}
}
