//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// part is a kind of file that a disk can damage.
type part struct {
	what, pattern string
	// cut truncates the file instead of changing a bit.
	cut bool
	// always means that no bit of it is without use, so that each change must be noticed.
	always bool
	// clean and halted are what a round needs so that the file has something in it: a clean stop of
	// the process, a stop of the rules.
	clean, halted bool
}

// parts are all kinds of files of the data directory. The journal's blocks and the stop have more
// than one turn.
var parts = []part{
	{what: "block of the journal", pattern: journalBlocks, always: true},
	{what: "block of the brakes", pattern: streams + "/KV_GAVEL_BRAKES/msgs/*.blk"},
	{what: "end of the journal", pattern: journalBlocks, cut: true, always: true},
	{what: "metadata of a consumer of the journal", pattern: streams + "/GAVEL_JOURNAL/obs/*/meta.*"},
	{what: "block of the keys", pattern: streams + "/KV_GAVEL_KEYS/msgs/*.blk"},
	{what: "block of the rules", pattern: streams + "/KV_GAVEL_RULES/msgs/*.blk"},
	{what: "metadata of the journal", pattern: streams + "/GAVEL_JOURNAL/meta.*"},
	{what: "block of the alarms", pattern: streams + "/GAVEL_TIMERS/msgs/*.blk"},
	{what: "block of the deferrals", pattern: streams + "/GAVEL_LATER/msgs/*.blk", halted: true},
	{what: "index of the journal", pattern: streams + "/GAVEL_JOURNAL/msgs/index.db", clean: true},
	{what: "block of the journal", pattern: journalBlocks, always: true},
	{what: "end of the brakes", pattern: streams + "/KV_GAVEL_BRAKES/msgs/*.blk", cut: true},
	{what: "state of a consumer of the journal", pattern: streams + "/GAVEL_JOURNAL/obs/*/o.dat"},
	{what: "block of the decisions", pattern: streams + "/GAVEL_ACTIONS/msgs/*.blk"},
	{what: "block of the journal", pattern: journalBlocks, always: true},
	{what: "metadata of a bucket", pattern: streams + "/KV_*/meta.*"},
	{what: "index of a bucket", pattern: streams + "/KV_*/msgs/index.db", clean: true},
	{what: "end of the rules", pattern: streams + "/KV_GAVEL_RULES/msgs/*.blk", cut: true},
	{what: "metadata of the alarms, deferrals or decisions", pattern: streams + "/GAVEL_[TLA]*/meta.*"},
	{what: "consumer of the alarms, deferrals or decisions", pattern: streams + "/GAVEL_[TLA]*/obs/*/*"},
	{what: "schedule of the alarms or deferrals", pattern: streams + "/GAVEL_*/msgs/sched.db", clean: true},
	{what: "block of the journal", pattern: journalBlocks, always: true},
	{what: "block of the news", pattern: streams + "/GAVEL_EVENTS/msgs/*.blk"},
	{what: "index of the alarms, deferrals, decisions or news", pattern: streams + "/GAVEL_[TLAE]*/msgs/index.db", clean: true},
	{what: "end of the journal", pattern: journalBlocks, cut: true, always: true},
	{what: "file of the chain", pattern: "chain"},
	{what: "snapshot of the picture", pattern: "picture", clean: true},
}

const (
	streams       = "nats/jetstream/*/streams"
	journalBlocks = streams + "/GAVEL_JOURNAL/msgs/*.blk"
	// noticed is how long damage may stay unnoticed. A control waits less, because it notices nothing.
	noticed, noticedInControl = 60 * time.Second, 30 * time.Second
	// sought is how long it may take until a deferral that was lost is found missing.
	sought = 3 * time.Minute
	// steady is how long a process is ready before its state is compared.
	steady = 3 * time.Second
)

// before is what a process acknowledged before the damage.
type before struct {
	part         part
	killed       bool
	stopped      bool // rules are
	acknowledged []string
	due          []string // of these, the watched ones
	key, revoked string   // SID:secret
}

// damage stores callbacks, keys and a stop, damages one file and starts again.
func damage(w *world) {
	desk, args := w.twilio()
	s := starting{data: filepath.Join(w.dir, "data"), args: append(args, "--sync", "interval")}
	turn := w.round / len(parts)
	b := before{part: parts[w.round%len(parts)]}
	b.killed = (w.round+turn)%2 == 0 && !b.part.clean
	b.stopped = (w.round/2+turn/2)%2 == 0 || b.part.halted
	p := w.gavel(s)
	b.key, b.revoked = w.key(p, s.data), w.key(p, s.data)
	sid, _, _ := strings.Cut(b.revoked, ":")
	must("revoke a key", w.runs("keys", "revoke", sid, "--server", p.url, "--data-dir", s.data))
	l := w.load(func(l *load, done <-chan struct{}, under *sync.WaitGroup) {
		l.next = w.formOrWatched(&b)
		steadily(p, 100)(l, done, under)
	})
	w.pass(w.between(2*time.Second, 3*time.Second))
	if b.stopped {
		must("stop the rules", w.runs("stop", "--server", p.url, "--data-dir", s.data, "--reason", "campaign"))
	}
	w.pass(2 * time.Second)
	b.acknowledged = l.stop().acknowledged
	b.due = slices.DeleteFunc(b.due, func(sid string) bool { return !slices.Contains(b.acknowledged, sid) })
	if end := p.stop; b.killed {
		p.kill()
	} else {
		end()
	}
	w.harm(b.part, s.data)
	w.observe(s, &b, desk)
}

// formOrWatched returns forms of which one in ten is watched.
func (w *world) formOrWatched(b *before) func() url.Values {
	made := 0
	return func() url.Values {
		form := w.form()
		if made++; made%10 == 0 {
			form.Set("FriendlyName", watched)
			b.due = append(b.due, form.Get("ConferenceSid"))
		}
		return form
	}
}

// key makes an API key.
func (w *world) key(p *process, data string) string {
	out, err := exec.CommandContext(w.ctx, w.binary, "keys", "create", "campaign", "--server", p.url, "--data-dir", data).Output()
	must("make a key", err)
	return strings.TrimSpace(string(out))
}

// harm changes one bit of a file, or cuts off its end. Empty files cannot be damaged.
func (w *world) harm(c part, data string) {
	found, err := filepath.Glob(filepath.Join(data, c.pattern))
	must("list files", err)
	found = slices.DeleteFunc(found, func(file string) bool {
		info, err := os.Stat(file)
		return err != nil || info.Size() == 0
	})
	if len(found) == 0 {
		w.counts["nothing-to-damage"]++
		return
	}
	file := found[w.random.IntN(len(found))]
	info, err := os.Stat(file)
	must("damage a file", err)
	w.counts["damaged"]++
	if c.cut {
		w.counts["truncations"]++
		shorten(file, w.random.Int64N(min(info.Size(), 8<<10))+1)
		return
	}
	w.counts["flips"]++
	w.flip(file)
}

// flip changes one bit of a file.
func (w *world) flip(file string) {
	data, err := os.ReadFile(file)
	must("flip a bit", err)
	data[w.random.IntN(len(data))] ^= 1 << w.random.IntN(8)
	must("flip a bit", os.WriteFile(file, data, 0o600))
}

// conditions are what /readyz names if it noticed damage.
var conditions = regexp.MustCompile(`journal-(behind|shortened|damaged)|damaged in the store|bucket-damaged`)

// complaint is a line of the log that says which file or record is damaged.
var complaint = regexp.MustCompile(`(?i)level=(ERROR|WARN).*(damaged|corrupt|checksum|cannot be read|not used|mismatch|invalid|alarm of a decision was lost|is removed)`)

// observe starts the process on the damage and counts what it shows.
func (w *world) observe(s starting, b *before, desk *twilio) {
	log, requests := len(w.log.String()), desk.requests()
	s.listen = "127.0.0.1:" + freePort()
	p, err := w.begin(s)
	must("start", err)
	state, why := w.settled(p, b)
	switch state {
	case "red":
		w.counts["acted-upon"] += desk.requests() - requests
		w.counts["not-found"] += notFound(p, b.acknowledged)
	case "ready":
		state = w.compared(p, s, b, desk)
		why = complaint.FindString(w.log.String()[log:])
		if state == "changed" && why == "" {
			state = "silent"
		}
	}
	if state == "ready" && b.part.always {
		state = "silent"
	}
	w.counts[state]++
	if state != "start-refused" && w.valid(p, b.revoked) {
		w.counts["key-revived"]++
	}
	fmt.Fprintf(os.Stderr, "  round %d: %s; killed %v, stopped %v: %s: %s: %.300s\n", w.round, b.part.what, b.killed, b.stopped, state, w.counts, why)
}

// settled waits until the process has ended (refused), names damage in /readyz (red) or is ready and
// stays so.
func (w *world) settled(p *process, b *before) (state, why string) {
	limit := noticed
	if w.control {
		limit = noticedInControl
	}
	var since time.Time
	w.within(limit, func() bool {
		status, body := p.get("/readyz")
		condition := conditions.Find(body)
		switch {
		case !p.running():
			state = "start-refused"
		case condition != nil:
			state, why = "red", string(condition)
		case status != http.StatusOK:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > steady && !b.part.always:
			state = "ready"
		}
		return state != ""
	})
	if state == "" && !since.IsZero() {
		state = "ready"
	}
	if state == "" {
		state = "not-ready"
	}
	return state, why
}

// compared is "ready" if the process shows and does all that it did before, else "changed".
func (w *world) compared(p *process, s starting, b *before, desk *twilio) string {
	count := func(name string, n int) bool {
		w.counts[name] += n
		return n > 0
	}
	changed := count("conferences-missing", len(p.missing(b.acknowledged)))
	var stop struct{ Stopped bool }
	_, body := p.get("/v1/stop")
	must("read the stop", json.Unmarshal(body, &stop))
	if b.stopped && !stop.Stopped {
		w.counts["stop-lifted"]++
		changed = true
	}
	if !w.valid(p, b.key) {
		w.counts["key-lost"]++
		changed = true
	}
	form := w.form()
	form.Set("FriendlyName", watched)
	if status := post(p.url, form); status != http.StatusNoContent {
		w.counts["not-accepting"]++
		return "changed"
	}
	if b.stopped {
		if err := w.runs("resume", "--server", p.url, "--data-dir", s.data, "--reason", "campaign"); err != nil {
			fmt.Fprintf(os.Stderr, "  round %d: %v\n", w.round, err) // it is resumed, or the actions are missing
		}
	}
	undone := 0
	limit := patience / 3
	if b.part.halted && !w.control {
		limit = sought
	}
	w.within(limit, func() bool {
		undone = 0
		ends := desk.ends()
		for _, sid := range append([]string{form.Get("ConferenceSid")}, b.due...) {
			if ends[sid] == 0 {
				undone++
			}
		}
		return undone == 0
	})
	if count("actions-missing", undone) || changed {
		return "changed"
	}
	return "ready"
}

// valid reports whether a key opens the API.
func (w *world) valid(p *process, key string) bool {
	request, err := http.NewRequestWithContext(w.ctx, http.MethodGet, p.url+"/v1/stop", nil)
	must("make a request", err)
	sid, secret, _ := strings.Cut(key, ":")
	request.SetBasicAuth(sid, secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
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

// rollback restores a copy of the data directory while Redis keeps what came after it. Then the legs
// leave of whom Redis has a join that the journal has lost.
func rollback(w *world) {
	data, backup := filepath.Join(w.dir, "data"), filepath.Join(w.dir, "backup")
	desk, args := w.twilio()
	s := starting{data: data, args: append(args, "--redis", w.redis(), "--sync", "interval")}
	w.stores(s)
	run("cp", "-a", data, backup)
	joined := w.stores(s)
	must("restore", os.RemoveAll(data))
	must("restore", os.Rename(backup, data))
	w.counts["rollbacks"]++
	requests := desk.requests()
	s.listen = "127.0.0.1:" + freePort()
	p, err := w.begin(s)
	must("start", err)
	state, _ := w.settled(p, &before{part: part{always: true}})
	if w.counts[state]++; state == "start-refused" {
		return
	}
	var left []string
	for _, sid := range joined[:min(len(joined), 100)] {
		if post(p.url, w.leave(sid)) == http.StatusNoContent {
			left = append(left, sid)
		}
	}
	w.counts["left"] += len(left)
	w.counts["acted-upon"] += desk.requests() - requests
	if state == "red" {
		// A journal is read twice before an operator can accept it.
		if !w.within(patience/3, func() bool {
			return w.runs("journal", "accept", "--server", p.url, "--data-dir", data, "--reason", "campaign") == nil
		}) || !w.within(patience/3, p.ready) {
			w.counts["not-ready-after-accept"]++
		}
	} else {
		w.counts["silent"]++
	}
	if w.control {
		p = w.swallow(p, s, args)
	}
	w.counts["swallowed"] += p.stay(left)
}

// swallow loses the last of the legs that left, as a build would that skips them: the journal's end is
// cut off, and an empty Redis is filled from it. A check that does not notice checks nothing.
func (w *world) swallow(p *process, s starting, args []string) *process {
	p.kill()
	shorten(newest(files(s.data, "GAVEL_JOURNAL/msgs/*.blk")), 8<<10)
	s.args, s.listen = append(args, "--redis", w.redis(), "--sync", "interval"), "127.0.0.1:"+freePort()
	p, err := w.begin(s)
	must("start without the end of the journal", err)
	w.within(patience/3, p.ready)
	return p
}

// stay counts the conferences whose leg has not left after a while.
func (p *process) stay(left []string) (n int) {
	p.w.within(patience/6, func() bool {
		n = 0
		for _, sid := range left {
			_, body := p.get("/2010-04-01/Accounts/" + account + "/Conferences/" + sid + "/Participants.json")
			if !bytes.Contains(body, []byte(`"participants":[]`)) {
				n++
			}
		}
		return n == 0
	})
	return n
}
