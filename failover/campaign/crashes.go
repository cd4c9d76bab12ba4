//go:build linux

package main

import (
	"os"
	"path/filepath"
	"time"
)

var crashes = []campaign{
	{
		id: "T1", what: "power cuts, also in the first minute, everything embedded", control: "--sync interval",
		short: 5, full: 50, round: powerCut, broken: mustBeZero("acknowledged", "lost", "not-started"),
	},
	{
		id: "T2", what: "kill -9, everything embedded", control: "the end of the journal is cut off after the kill",
		short: 5, full: 100, round: killed, broken: mustBeZero("acknowledged", "lost"),
	},
}

// powerCut cuts twice: while or soon after the data directory is made, and under load.
func powerCut(w *world) {
	v := w.volume(512)
	s := starting{data: filepath.Join(v.dir, "data")}
	if w.control {
		s.args = []string{"--sync", "interval"}
	}
	var acknowledged []string
	for range 2 {
		p := w.gavel(s)
		l := w.callbacks(p, 200)
		w.pass(w.between(100*time.Millisecond, 4*time.Second))
		p.kill()
		v.cut()
		w.counts["cuts"]++
		acknowledged = append(acknowledged, l.stop().acknowledged...)
	}
	p, err := w.begin(s)
	if err != nil {
		w.counts["not-started"]++
		failf("after the cut: %v", err)
	}
	w.counts["lost"] += len(p.missing(acknowledged))
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
