//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"gavel/internal/twilio/twiliofake"
)

const (
	// twilioWaits is Twilio's total timeout for a callback.
	twilioWaits = 15 * time.Second
	// twilioConnects is Twilio's timeout for a connection.
	twilioConnects = 5 * time.Second
	// mostInFlight bounds the requests that a load has in flight at once.
	mostInFlight = 12_000
	// mostDials bounds the connections that it opens at once.
	mostDials = 512
)

// load sends callbacks. Each is the join of a conference of its own, so that what a process shows
// is compared by ConferenceSid alone.
type load struct {
	w      *world
	client clients
	next   func() url.Values // makes the next form; one goroutine calls it
	stopIt func()

	mu           sync.Mutex
	acknowledged []string
	refused      int // answered 503
	unanswered   int // no answer, or another one
	slowest503   time.Duration
}

// callbacks sends that many callbacks a second to a process until stop is called, whether they are
// answered or not.
func (w *world) callbacks(p *process, perSecond int) *load {
	return w.load(steadily(p, perSecond))
}

func steadily(p *process, perSecond int) func(*load, <-chan struct{}, *sync.WaitGroup) {
	return func(l *load, done <-chan struct{}, under *sync.WaitGroup) {
		places := make(chan struct{}, mostInFlight)
		begun, sent := time.Now(), 0
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-done:
				return
			}
			for ; sent < int(time.Since(begun).Seconds()*float64(perSecond)); sent++ {
				select {
				case <-done: // also if this machine is too slow for the rate
					return
				default:
				}
				select {
				case places <- struct{}{}:
				default:
					l.count(func() { l.unanswered++ })
					continue
				}
				form := l.next()
				under.Go(func() { l.send(p, form); <-places })
			}
		}
	}
}

// flood keeps that many callbacks in flight until stop is called. next makes their forms.
func (w *world) flood(p *process, together int, next func() url.Values) *load {
	return w.load(func(l *load, done <-chan struct{}, under *sync.WaitGroup) {
		forms := make(chan url.Values)
		for range together {
			under.Go(func() {
				for form := range forms {
					l.send(p, form)
				}
			})
		}
		defer close(forms)
		for {
			select {
			case forms <- next():
			case <-done:
				return
			}
		}
	})
}

func (w *world) load(run func(*load, <-chan struct{}, *sync.WaitGroup)) *load {
	l := &load{w: w, next: w.form, client: newClients()}
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		var under sync.WaitGroup
		run(l, done, &under)
		under.Wait()
	}()
	l.stopIt = sync.OnceFunc(func() { close(done); <-over; l.client.close() })
	w.ends = append(w.ends, l.stopIt)
	return l
}

// stop ends the load, waits for its answers and counts them in the world.
func (l *load) stop() *load {
	l.stopIt()
	l.w.counts["acknowledged"] += len(l.acknowledged)
	l.w.counts["refused"] += l.refused
	return l
}

func (l *load) count(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *load) refusedSoFar() (n int) {
	l.count(func() { n = l.refused })
	return n
}

func (l *load) send(p *process, form url.Values) {
	begun := time.Now()
	status := l.client.post(p.url, form)
	l.count(func() {
		switch {
		case status >= 200 && status < 300:
			l.acknowledged = append(l.acknowledged, form.Get("ConferenceSid"))
		case status == http.StatusServiceUnavailable:
			l.refused, l.slowest503 = l.refused+1, max(l.slowest503, time.Since(begun))
		default:
			l.unanswered++
		}
	})
}

// clients are the connections of one load, as a proxy has them: a callback is sent on the next one
// that is free, or on a new one. net/http's client keeps open each connection that it dialled and did not need.
type clients struct {
	free  chan *client
	dials chan struct{} // has room for connections that are being opened
}

// client is one connection.
type client struct {
	net.Conn
	answers *bufio.Reader
}

func newClients() clients {
	return clients{free: make(chan *client, mostInFlight), dials: make(chan struct{}, mostDials)}
}

// take returns a connection, or an error if there is none in time.
func (c clients) take(address string, until time.Time) (*client, error) {
	select {
	case free := <-c.free:
		return free, nil
	default:
	}
	late := time.NewTimer(time.Until(until))
	defer late.Stop()
	select {
	case free := <-c.free:
		return free, nil
	case c.dials <- struct{}{}:
	case <-late.C:
		return nil, context.DeadlineExceeded
	}
	defer func() { <-c.dials }()
	dialer := net.Dialer{Deadline: until}
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReaderSize(conn, 1<<10)}, nil
}

func (c clients) close() {
	for len(c.free) > 0 {
		free := <-c.free
		free.Close()
	}
}

// post signs and sends a form; 0 means no answer.
func (c clients) post(door string, form url.Values) (status int) {
	const path = "/twilio/conference"
	address, body, until := strings.TrimPrefix(door, "http://"), form.Encode(), time.Now().Add(twilioWaits)
	conn, err := c.take(address, time.Now().Add(twilioConnects))
	if err != nil {
		return 0
	}
	_ = conn.SetDeadline(until) // an error shows at the next use
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"X-Twilio-Signature: %s\r\nContent-Length: %d\r\n\r\n%s",
		path, address, twiliofake.Signature(token, door+path, form), len(body), body)
	if err == nil {
		var response *http.Response
		if response, err = http.ReadResponse(conn.answers, nil); err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			if err == nil && !response.Close {
				c.free <- conn
				return response.StatusCode
			}
			status = response.StatusCode
		}
	}
	conn.Close()
	return status
}

// post sends one form on a connection of its own; 0 means no answer.
func post(door string, form url.Values) int {
	c := newClients()
	defer c.close()
	return c.post(door, form)
}

// form is the join of one leg of a new conference.
func (w *world) form() url.Values {
	conference := w.sid("CF")
	return url.Values{
		"AccountSid": {account}, "ConferenceSid": {conference}, "CallSid": {legOf(conference)}, "FriendlyName": {"support"},
		"SequenceNumber": {"1"}, "StatusCallbackEvent": {"participant-join"}, "Timestamp": {time.Now().UTC().Format(time.RFC1123Z)},
		"Muted": {"false"}, "Hold": {"false"}, "Coaching": {"false"}, "StartConferenceOnEnter": {"true"}, "EndConferenceOnExit": {"false"},
	}
}

// legOf is the CallSid of the one leg of a conference.
func legOf(conference string) string { return "CA" + conference[2:] }

// leave is the leave of the one leg of a conference.
func (w *world) leave(conference string) url.Values {
	form := w.form()
	form.Set("ConferenceSid", conference)
	form.Set("CallSid", legOf(conference))
	form.Set("SequenceNumber", "2")
	form.Set("StatusCallbackEvent", "participant-leave")
	return form
}

// sid is random, and is made by one goroutine at a time.
func (w *world) sid(prefix string) string {
	var b [16]byte
	for i := range b {
		b[i] = byte(w.random.Uint32())
	}
	return prefix + hex.EncodeToString(b[:])
}

// calls returns the forms of whole calls, one after the other.
func (w *world) calls() func() url.Values {
	var forms []url.Values
	return func() url.Values {
		if len(forms) == 0 {
			forms = w.call()
		}
		form := forms[0]
		forms = forms[1:]
		return form
	}
}

// call returns the forms of one whole call: two legs join, are muted and unmuted, and leave.
func (w *world) call() (forms []url.Values) {
	conference, legs := w.sid("CF"), []string{w.sid("CA"), w.sid("CA")}
	add := func(event, leg string) {
		form := w.form()
		form.Set("ConferenceSid", conference)
		form.Set("StatusCallbackEvent", event)
		form.Set("SequenceNumber", strconv.Itoa(len(forms)+1))
		if form.Set("CallSid", leg); leg == "" {
			for _, name := range []string{"CallSid", "Muted", "Hold", "Coaching", "StartConferenceOnEnter", "EndConferenceOnExit"} {
				form.Del(name)
			}
		}
		forms = append(forms, form)
	}
	add("conference-start", "")
	for _, event := range []string{"participant-join", "participant-mute", "participant-unmute", "participant-leave"} {
		for _, leg := range legs {
			add(event, leg)
		}
	}
	add("conference-end", "")
	last := forms[len(forms)-1]
	last.Set("ReasonConferenceEnded", "last-participant-left")
	last.Set("CallSidEndingConference", legs[1])
	return forms
}
