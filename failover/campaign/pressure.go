//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

var pressure = []campaign{
	{
		id: "T6", what: "overload of 5 and 10 times in 512 MB, everything embedded", control: "the build 7921494", older: true,
		short: 1, full: 3, round: overload, broken: func(c counts) string {
			if c["ended"] > 0 || c["percent-at-5x"] < 80*c["rounds"] {
				return fmt.Sprintf("goodput at 5x is %d %% of peak, and %d processes ended", c["percent-at-5x"]/max(1, c["rounds"]), c["ended"])
			}
			return ""
		},
	},
	{
		id: "T18", what: "whole calls; resident memory in MB after two thirds of the time and at its end", control: "the build 7921494", older: true,
		short: 1, full: 1, round: soak, broken: func(c counts) string {
			if early, end := c["mb-at-two-thirds"], c["mb-at-the-end"]; c["acknowledged"] == 0 || end > 230 || end > early*11/10+5 {
				return fmt.Sprintf("%d MB, and then %d MB; at most 230 MB and flat is needed", early, end)
			}
			return ""
		},
	},
	{
		id: "T10", what: "10,300 bodies that arrive at one byte a second, unsigned", control: "the build 7921494", older: true,
		short: 1, full: 3, round: slowBodies, broken: func(c counts) string {
			if c["genuine"] == 0 || c["acknowledged"]*100 < c["genuine"]*99 {
				return fmt.Sprintf("%d of %d genuine callbacks are acknowledged", c["acknowledged"], c["genuine"])
			}
			return ""
		},
	},
}

// overload gives Gavel a third of a processor, so that the load on the rest of the machine can
// exceed its peak ten times. The processor time of each phase is of Gavel, of the load, and of Gavel
// for each callback that it acknowledged: a machine that is busy otherwise changes only the others.
func overload(w *world) {
	const percent, phase = 30, 20 * time.Second
	g := w.group(512<<20, percent)
	p := w.gavel(starting{data: filepath.Join(w.dir, "data"), under: g.under()})
	peak := w.phase(p, "at-peak", phase, func() *load { return w.flood(p, 64, w.form) })
	w.counts["rounds"]++
	w.counts["peak-per-second"] += int(peak)
	for _, times := range []int{5, 10} {
		name := fmt.Sprintf("at-%dx", times)
		done := w.phase(p, name, phase, func() *load { return w.callbacks(p, times*int(peak)) })
		w.counts["percent-"+name] += int(100 * done / max(1, peak))
	}
	if !p.running() {
		w.counts["ended"]++
	}
}

// phase runs a load for that long and returns how many callbacks were acknowledged in a second of it.
func (w *world) phase(p *process, name string, lasting time.Duration, begin func() *load) float64 {
	gavel, own := p.processorTime(), ownProcessorTime()
	l := begin()
	w.pass(lasting)
	done, used, ownUsed := l.acknowledgedSoFar(), p.processorTime()-gavel, ownProcessorTime()-own
	l.stop()
	w.counts["gavel-cpu-percent-"+name] += int(100 * used / lasting)
	w.counts["load-cpu-percent-"+name] += int(100 * ownUsed / lasting)
	w.counts["us-per-callback-"+name] += int(used.Microseconds()) / max(1, done)
	w.counts["mb-"+name] = p.resident()
	return float64(done) / lasting.Seconds()
}

// processorTime is what the process has used, user and system; 0 if it has ended.
func (p *process) processorTime() time.Duration {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.command.Process.Pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	const tick = 10 * time.Millisecond // USER_HZ
	return time.Duration(user+system) * tick
}

func ownProcessorTime() time.Duration {
	var used syscall.Rusage
	must("read the processor time", syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func (l *load) acknowledgedSoFar() (n int) {
	l.count(func() { n = len(l.acknowledged) })
	return n
}

// soak runs at the rate of a busy site for 15 minutes, or faster for a shorter time. Twilio's API
// answers, as it does for a site: if it did not, each ended conference would be fetched again after 8
// minutes, for which NATS decompresses a block of 8 MB of old news.
func soak(w *world) {
	rate, third := 600, 40*time.Second
	if w.full {
		rate, third = 84, 5*time.Minute
	}
	stand, _ := w.twilio()
	p := w.gavel(starting{data: filepath.Join(w.dir, "data"), args: []string{"--twilio-api", stand.url}})
	l := w.load(func(l *load, done <-chan struct{}, under *sync.WaitGroup) {
		l.next = w.calls()
		steadily(p, rate)(l, done, under)
	})
	const parts = 15 // minutes of the full size
	for part := range parts {
		w.pass(3 * third / parts)
		now := p.resident()
		fmt.Fprintf(os.Stderr, "resident after %v: %d MB\n", time.Duration(part+1)*3*third/parts, now)
		if part+1 == parts*2/3 {
			w.counts["mb-at-two-thirds"] = now
		}
		w.counts["mb-at-the-end"] = now
	}
	l.stop()
}

// resident returns the process's resident memory in MB.
func (p *process) resident() int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	must("read resident memory", err)
	var kilobytes int
	if _, rest, ok := strings.Cut(string(status), "VmRSS:"); ok {
		_, _ = fmt.Sscan(rest, &kilobytes) // 0 fails the campaign
	}
	return kilobytes >> 10
}

// slowBodies keeps connections open that send their bodies at one byte a second, from a few addresses.
func slowBodies(w *world) {
	const connections, senders = 10_300, 50
	p := w.gavel(starting{data: filepath.Join(w.dir, "data")})
	done := make(chan struct{})
	var under sync.WaitGroup
	w.ends = append(w.ends, sync.OnceFunc(func() { close(done); under.Wait() }))
	for i := range connections {
		under.Go(func() { drip(p, i%senders, done) })
	}
	w.pass(5 * time.Second)
	l := w.callbacks(p, 20)
	w.pass(20 * time.Second)
	l.stop()
	w.counts["genuine"] += len(l.acknowledged) + l.refused + l.unanswered
}

// drip opens a connection again whenever the process closes it.
func drip(p *process, sender int, done <-chan struct{}) {
	address := strings.TrimPrefix(p.url, "http://")
	dialer := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(sender+1))}}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var conn net.Conn
	for {
		var err error
		if conn == nil {
			if conn, err = dialer.Dial("tcp", address); err == nil {
				_, err = fmt.Fprintf(conn, "POST /twilio/conference HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
					"X-Twilio-Signature: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\nContent-Length: 1000\r\n\r\n", address)
			}
		} else {
			_, err = conn.Write([]byte("a"))
		}
		if err != nil && conn != nil {
			conn.Close()
			conn = nil
		}
		select {
		case <-tick.C:
		case <-done:
			if conn != nil {
				conn.Close()
			}
			return
		}
	}
}
