//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"time"
)

var crashes = []campaign{
	{
		id: "T1", what: "power cuts while the data directory is made, in the first seconds and under load, everything embedded", control: "--sync interval",
		short: 5, full: 50, round: powerCut, broken: mustBeZero("acknowledged", "lost", "not-started", "empty-files", "unsynced-kept", "synced-lost"),
	},
	{
		id: "T2", what: "kill -9, everything embedded", control: "the end of the journal is cut off after the kill",
		short: 5, full: 100, round: killed, broken: mustBeZero("acknowledged", "lost"),
	},
}

// powerCut cuts while the data directory is made, soon after that, and under load. The first start is
// the one that writes all files that are written once.
func powerCut(w *world) {
	v := w.volume(512)
	s := starting{data: filepath.Join(v.dir, "data"), natsListen: "127.0.0.1:0"}
	if w.control {
		s.args = []string{"--sync", "interval"}
	}
	first := s
	first.listen = "127.0.0.1:" + freePort()
	p, err := w.begin(first)
	must("start", err)
	w.pass(w.between(20*time.Millisecond, 2*time.Second))
	p.kill()
	v.cut()
	var acknowledged []string
	for range 2 {
		if p, err = w.begin(s); err != nil {
			w.counts["not-started"]++
			failf("after a cut: %v", err)
		}
		l := w.callbacks(p, 200)
		w.pass(w.between(100*time.Millisecond, 4*time.Second))
		p.kill()
		v.cut()
		acknowledged = append(acknowledged, l.stop().acknowledged...)
	}
	if p, err = w.begin(s); err != nil {
		w.counts["not-started"]++
		failf("after the last cut: %v", err)
	}
	w.counts["lost"] += len(p.missing(acknowledged))
	for _, name := range []string{"nats.token", "api-key", "format"} {
		if text, _ := os.ReadFile(filepath.Join(s.data, name)); len(bytes.Trim(text, "\x00 \n")) == 0 {
			w.counts["empty-files"]++
		}
	}
}

func killed(w *world) {
	s := starting{data: filepath.Join(w.dir, "data"), args: []string{"--sync", "interval"}}
	p := w.gavel(s)
	l := w.callbacks(p, 300)
	w.pass(w.between(200*time.Millisecond, 3*time.Second))
	p.kill()
	w.counts["kills"]++
	acknowledged := l.stop().acknowledged
	if w.control {
		shorten(newest(files(s.data, "GAVEL_JOURNAL/msgs/*.blk")), 4<<10)
	}
	p, err := w.begin(s)
	if err != nil {
		w.counts["lost"] += len(acknowledged)
		return
	}
	w.counts["lost"] += len(p.missing(acknowledged))
}

// newest returns the last block, by name.
func newest(blocks []string) string {
	if len(blocks) == 0 {
		failf("the journal has no blocks")
	}
	return blocks[len(blocks)-1]
}

// shorten cuts bytes off the end of a file.
func shorten(file string, by int64) {
	info, err := os.Stat(file)
	must("shorten a file", err)
	must("shorten a file", os.Truncate(file, max(0, info.Size()-by)))
}
