//go:build linux

package main

import (
	"encoding/hex"
	"io"
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
	// mostInFlight bounds the requests that a load has in flight at once.
	mostInFlight = 12_000
)

// load sends callbacks. Each is the join of a conference of its own, so that what a process shows
// is compared by ConferenceSid alone.
type load struct {
	w      *world
	client *http.Client
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
	transport := &http.Transport{MaxIdleConnsPerHost: mostInFlight}
	l := &load{w: w, next: w.form, client: &http.Client{Transport: transport, Timeout: twilioWaits}}
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		var under sync.WaitGroup
		run(l, done, &under)
		under.Wait()
	}()
	l.stopIt = sync.OnceFunc(func() { close(done); <-over; transport.CloseIdleConnections() })
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
	status := post(l.client, p.url, form)
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

// post signs and sends a form; 0 means no answer.
func post(client *http.Client, door string, form url.Values) (status int) {
	const path = "/twilio/conference"
	request, err := http.NewRequest(http.MethodPost, door+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("X-Twilio-Signature", twiliofake.Signature(token, door+path, form))
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body) // the status is the answer
	return response.StatusCode
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
