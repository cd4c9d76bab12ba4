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
	"syscall"
	"time"
)

var storage = []campaign{
	{
		id: "T5", what: "a volume that is full to the end, also at a start, and then has space again", control: "the space does not return",
		short: 2, full: 10, round: fullDisk, broken: mustBeZero("acknowledged", "lost", "not-readable", "not-recovered"),
	},
	{
		id: "T7", what: "one flipped bit or a truncation in the journal or in a bucket", control: "the build 7921494", older: true,
		short: 10, full: 100, round: damage, broken: mustBeZero("damaged", "silent", "not-found", "stop-lifted"),
	},
	{
		id: "T8", what: "the journal goes back to a backup under a newer Redis", control: "the build 7921494", older: true,
		short: 2, full: 20, round: rollback, broken: mustBeZero("rollbacks", "silent"),
	},
	{
		id: "T9", what: "EIO, ENOSPC or a kill at the k-th fsync", control: "the end of the journal is cut off afterwards",
		short: 5, full: 300, round: ioError, broken: mustBeZero("acknowledged", "lost"),
	},
}

// fullDisk fills the volume under load, kills the process and starts it again on the full volume,
// where it reads, accepts nothing and is not ready.
func fullDisk(w *world) {
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
	if !w.within(patience/3, func() bool { return post(l.client, p.url, w.form()) == 204 }) {
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

// damage stores callbacks and a stop, damages one file and starts again.
func damage(w *world) {
	s := starting{data: filepath.Join(w.dir, "data"), args: []string{"--sync", "interval"}}
	p := w.gavel(s)
	l := w.callbacks(p, 200)
	w.pass(w.between(time.Second, 3*time.Second))
	acknowledged := l.stop().acknowledged
	must("stop the rules", w.runs("stop", "--server", p.url, "--data-dir", s.data, "--reason", "campaign"))
	if w.random.IntN(2) == 0 {
		p.stop()
	} else {
		p.kill()
	}
	bucket := w.round%5 == 4
	pattern := "GAVEL_JOURNAL/msgs/*.blk"
	if bucket {
		pattern = "KV_GAVEL_BRAKES/msgs/*.blk"
	}
	file := newest(files(s.data, pattern))
	if w.round%5 == 3 {
		shorten(file, w.random.Int64N(8<<10)+1)
	} else {
		w.flip(file)
	}
	w.counts["damaged"]++
	p, err := w.begin(s)
	if err != nil { // it refuses to start, and its log says why
		w.counts["detected"]++
		return
	}
	if w.counts["stop-lifted"] += lifted(w, p, s.data); bucket {
		return
	}
	if w.within(patience*2/3, p.ready) {
		w.counts["silent"]++
		return
	}
	w.counts["detected"]++
	w.counts["not-found"] += notFound(p, acknowledged)
}

// flip changes one bit of a file.
func (w *world) flip(file string) {
	data, err := os.ReadFile(file)
	must("flip a bit", err)
	data[w.random.IntN(len(data))] ^= 1 << w.random.IntN(8)
	must("flip a bit", os.WriteFile(file, data, 0o600))
}

// lifted is 1 if the process reports that rules may act.
func lifted(w *world, p *process, data string) int {
	command := exec.CommandContext(w.ctx, w.binary, "rules", "status", "--server", p.url, "--data-dir", data, "--output", "json")
	out, err := command.Output()
	if err == nil && bytes.Contains(bytes.ReplaceAll(out, []byte(" "), nil), []byte(`"stopped":false`)) {
		return 1
	}
	return 0
}

// notFound counts the acknowledged conferences that are answered 404.
func notFound(p *process, acknowledged []string) (n int) {
	for _, sid := range acknowledged {
		if status, _ := p.get("/2010-04-01/Accounts/" + account + "/Conferences/" + sid + ".json"); status == 404 {
			n++
		}
	}
	return n
}

// rollback restores a copy of the data directory while Redis keeps what came after it.
func rollback(w *world) {
	data, backup := filepath.Join(w.dir, "data"), filepath.Join(w.dir, "backup")
	s := starting{data: data, args: []string{"--redis", w.redis(), "--sync", "interval"}}
	w.stores(s)
	run("cp", "-a", data, backup)
	w.stores(s)
	must("restore", os.RemoveAll(data))
	must("restore", os.Rename(backup, data))
	w.counts["rollbacks"]++
	p, err := w.begin(s)
	switch {
	case err != nil:
		w.counts["detected"]++
	case w.within(patience/3, p.ready):
		w.counts["silent"]++
	default:
		w.counts["detected"]++
	}
}

// stores runs a process under load, and stops it when it shows all that it acknowledged.
func (w *world) stores(s starting) {
	p := w.gavel(s)
	l := w.callbacks(p, 200)
	w.pass(w.between(time.Second, 2*time.Second))
	if gone := p.missing(l.stop().acknowledged); len(gone) > 0 {
		failf("%d conferences are missing before any fault", len(gone))
	}
	p.stop()
}

// redis starts a Redis for the round and returns its URL.
func (w *world) redis() string {
	port := freePort()
	command := exec.Command("redis-server", "--port", port, "--save", "", "--dir", w.dir)
	command.Stdout, command.Stderr = io.Discard, &w.log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must("start redis-server", command.Start())
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
		failf("redis-server does not answer")
	}
	return "redis://127.0.0.1:" + port
}

// ioError runs the process under strace, which makes an fsync fail or the process end.
func ioError(w *world) {
	at := w.random.IntN(60) + 1
	if w.control {
		at += 1000 // only the cut loses something
	}
	what := []string{"error=EIO", "error=ENOSPC", "signal=SIGKILL"}[w.random.IntN(3)]
	last := []string{"", "+"}[w.random.IntN(2)]
	s := starting{data: filepath.Join(w.dir, "data"), under: []string{
		"strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", fmt.Sprintf("inject=fsync:%s:when=%d%s", what, at, last),
	}}
	var acknowledged []string
	w.counts["faults"]++
	if p, err := w.begin(s); err == nil {
		l := w.callbacks(p, 100)
		w.pass(3 * time.Second)
		p.kill()
		acknowledged = l.stop().acknowledged
	} else {
		w.counts["failed-at-start"]++
	}
	s.under = nil
	if w.control {
		shorten(newest(files(s.data, "GAVEL_JOURNAL/msgs/*.blk")), 4<<10)
	}
	p, err := w.begin(s)
	if err != nil {
		w.counts["lost"] += max(1, len(acknowledged))
		return
	}
	w.counts["lost"] += len(p.missing(acknowledged))
}
