//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var storage = []campaign{
	{
		id: "T5", what: "a volume that another program, or the callbacks themselves, fill to the end, also at a start", control: "the space does not return",
		short: 3, full: 12, round: fullDisk, broken: mustBeZero("acknowledged", "lost", "not-readable", "not-recovered", "green-when-full", "slow-refusals"),
	},
	{
		id: "T7", what: "one flipped bit or a truncation in any file of the store", control: "the build 7921494", older: true, together: 2,
		short: 10, full: 4 * len(parts), round: damage, broken: mustBeZero("damaged", "silent", "not-found", "stop-lifted", "key-revived", "acted-upon", "not-ready"),
	},
	{
		id: "T8", what: "the journal goes back to a backup under a newer Redis", control: "the build 7921494, and the end of the journal is cut off after the legs left", older: true,
		short: 2, full: 20, round: rollback, broken: mustBeZero("rollbacks", "silent", "acted-upon", "swallowed", "not-ready", "not-ready-after-accept"),
	},
	{
		id: "T9", what: "EIO, ENOSPC or a kill at the k-th fsync or pwrite64", control: "the end of the journal is cut off afterwards", together: 3,
		short: 5, full: 330, round: ioError, broken: mustBeZero("acknowledged", "lost", "not-started"),
	},
}

// fullDisk has three kinds of rounds.
func fullDisk(w *world) {
	switch {
	case w.control || w.round%3 == 0:
		fullByOthers(w)
	case w.round%3 == 1:
		v := w.volume(smallVolume)
		fullByCallbacks(w, v, starting{data: filepath.Join(v.dir, "data")})
	default:
		v := w.volume(2 * smallVolume)
		fullByCallbacks(w, v, starting{
			data: filepath.Join(w.dir, "data"), args: []string{"--nats", w.nats(v.dir), "--config", w.settings("nats: {replicas: 1, journal_max_bytes: 67108864}"), "--redis", w.redis()},
		})
	}
}

const (
	// smallVolume is full after a minute or two of callbacks, in MB.
	smallVolume = 64
	// soon is how long a refusal may take: a door that uses all of Twilio's time for a refusal is of no use.
	soon = 2 * time.Second
	// fullWithin bounds the filling.
	fullWithin = 8 * time.Minute
)

// fullByCallbacks sends whole calls, with all settings at their defaults, until the door refuses
// them. Then the process has to refuse quickly, say so, read, and still have all at the next start.
func fullByCallbacks(w *world, v *volume, s starting) {
	p := w.gavel(s)
	l := w.flood(p, 32, w.calls())
	if !w.within(fullWithin, func() bool { return l.refusedSoFar() > 200 }) {
		w.counts["never-full"]++
	}
	l.stop()
	w.counts["filled-by-callbacks"]++
	w.counts["percent-of-the-volume"] += v.percentUsed()
	begun := time.Now() // a smaller group may still fit
	if l.client.post(p.url, w.form()); time.Since(begun) > soon {
		w.counts["slow-refusals"]++
	}
	if w.within(patience/9, p.ready) {
		w.counts["green-when-full"]++
	}
	readable(w, p)
	p.catchesUp()
	w.counts["lost"] += len(p.missing(l.acknowledged))
	p.kill()
	s.listen = "127.0.0.1:" + freePort()
	p, err := w.begin(s)
	must("start", err)
	readable(w, p)
	p.catchesUp()
	w.counts["lost"] += len(p.missing(l.acknowledged))
}

// catchesUp waits until the projector is not behind, or long enough.
func (p *process) catchesUp() {
	p.w.within(fullWithin, func() bool {
		status, body := p.get("/readyz")
		return status != 0 && bytes.Contains(body, []byte(`"projector":{"ok":true}`))
	})
}

// fullByOthers fills the volume under load, kills the process and starts it again on the full volume,
// where it reads, accepts nothing and is not ready.
func fullByOthers(w *world) {
	v := w.volume(192)
	s := starting{data: filepath.Join(v.dir, "data")}
	p := w.gavel(s)
	l := w.callbacks(p, 200)
	w.pass(2 * time.Second)
	release := v.fill()
	w.pass(3 * time.Second)
	readable(w, p)
	p.kill()
	acknowledged := l.stop().acknowledged
	s.listen = "127.0.0.1:" + freePort()
	p, err := w.begin(s)
	must("start", err)
	w.counts["starts-on-a-full-volume"]++
	readable(w, p)
	if !w.control {
		release()
	}
	if !w.within(patience/3, func() bool { return l.client.post(p.url, w.form()) == 204 }) {
		w.counts["not-recovered"]++
	}
	w.counts["lost"] += len(p.missing(acknowledged))
}

// readable counts a process that does not answer a list of conferences soon.
func readable(w *world, p *process) {
	if !w.within(patience/3, func() bool {
		status, _ := p.get("/2010-04-01/Accounts/" + account + "/Conferences.json?PageSize=1")
		return status == 200
	}) {
		w.counts["not-readable"]++
	}
}

// freePort returns a port that was free a moment ago.
func freePort() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must("find a port", err)
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// stores runs a process under load, stops it when it shows all that it acknowledged, and returns that.
func (w *world) stores(s starting) (acknowledged []string) {
	p := w.gavel(s)
	l := w.callbacks(p, 200)
	w.pass(w.between(time.Second, 2*time.Second))
	acknowledged = l.stop().acknowledged
	if gone := p.missing(acknowledged); len(gone) > 0 {
		failf("%d conferences are missing before any fault", len(gone))
	}
	p.stop()
	return acknowledged
}

// nats starts a server with the shipped settings, except for its folder, its port and its limit, which
// is a hundredth of the shipped one, and returns its URL.
func (w *world) nats(dir string) string {
	if w.server == "" {
		failf("name the binary of nats-server: -nats")
	}
	text, err := os.ReadFile("deployments/nats.conf")
	must("read the shipped settings", err)
	port := freePort()
	settings := strings.NewReplacer("0.0.0.0:4222", "127.0.0.1:"+port, "http: 127.0.0.1:8222", "", "10GB", "96MB", "/data", filepath.Join(dir, "nats"), "$NATS_NAME", "n1").
		Replace(string(text))
	file := filepath.Join(w.dir, "nats.conf")
	must("write settings", os.WriteFile(file, []byte(settings), 0o600))
	w.background(port, w.server, "-c", file)
	return "nats://127.0.0.1:" + port
}

// settings writes a settings file and returns its name.
func (w *world) settings(text string) string {
	file := filepath.Join(w.dir, "gavel.yaml")
	must("write settings", os.WriteFile(file, []byte(text+"\n"), 0o600))
	return file
}

// redis starts a Redis for the round and returns its URL.
func (w *world) redis() string {
	port := freePort()
	w.background(port, "redis-server", "--port", port, "--save", "", "--dir", w.dir)
	return "redis://127.0.0.1:" + port
}

// background starts a server and waits until it listens.
func (w *world) background(port, name string, args ...string) {
	command := exec.Command(name, args...)
	command.Stdout, command.Stderr = io.Discard, &w.log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must("start "+name, command.Start())
	w.ends = append(w.ends, func() {
		_ = command.Process.Kill() // its result does not matter
		_ = command.Wait()
	})
	if !w.within(patience, func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}) {
		failf("%s does not listen", name)
	}
}

// faults are the system calls that fail, and how.
var (
	faultyCalls = []string{"fsync", "pwrite64"}
	faultKinds  = []string{"error=EIO", "error=ENOSPC", "signal=SIGKILL"}
)

// ioError runs the process under strace, which makes a system call fail or the process end. strace
// counts the calls of each thread. A round without a fault, because no thread came that far, is
// counted apart.
func ioError(w *world) {
	at := w.random.IntN(60) + 1
	if w.control {
		at += 60_000 // only the cut loses something
	}
	call := faultyCalls[w.random.IntN(len(faultyCalls))]
	kind := faultKinds[w.random.IntN(len(faultKinds))]
	last := []string{"", "+"}[w.random.IntN(2)]
	trace := filepath.Join(w.dir, "trace")
	s := starting{data: filepath.Join(w.dir, "data"), under: []string{
		"strace", "-f", "-qq", "-o", trace, "-e", "trace=" + call, "-e", fmt.Sprintf("inject=%s:%s:when=%d%s", call, kind, at, last),
	}}
	var acknowledged []string
	if p, err := w.begin(s); err == nil {
		l := w.callbacks(p, 100)
		w.within(3*time.Second, func() bool { return !w.control && injected(trace) })
		w.pass(500 * time.Millisecond)
		p.kill()
		acknowledged = l.stop().acknowledged
		w.counts["slowest-503-ms"] = max(w.counts["slowest-503-ms"], int(l.slowest503.Milliseconds()))
	} else {
		w.counts["at-start"]++
	}
	if injected(trace) {
		w.counts["faults"]++
		w.counts[call+" "+kind]++
	} else {
		w.counts["rounds-without-a-fault"]++
	}
	s.under = nil
	if w.control {
		shorten(newest(files(s.data, "GAVEL_JOURNAL/msgs/*.blk")), 4<<10)
	}
	p, err := w.begin(s)
	if err != nil {
		w.counts["not-started"]++
		w.counts["lost"] += len(acknowledged)
		fmt.Fprintf(os.Stderr, "  round %d: %s %s at %d%s: %v\n%s\n", w.round, call, kind, at, last, err, w.log.Tail(logShown))
		return
	}
	w.counts["lost"] += len(p.missing(acknowledged))
}

// injected reports whether strace injected a fault.
func injected(trace string) bool {
	text, err := os.ReadFile(trace)
	return err == nil && (bytes.Contains(text, []byte("(INJECTED)")) || bytes.Contains(text, []byte("killed by SIGKILL")))
}
