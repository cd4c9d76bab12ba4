package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// connections is how many keep-alive connections the loader has; Twilio does
// not document its number.
const connections = 64

// warmUp is excluded from the rate: connections are opened and heaps grow.
const warmUp = 300 * time.Millisecond

// load describes what to send, and to which address.
type load struct {
	addr     string
	requests string // file
	first    int    // number of the first request to send
	lasting  time.Duration
	// rate is in requests per second, each sent when it is due, even if earlier ones are unanswered
	// (open loop). Zero sends the next request as soon as a connection is free.
	rate int
}

// loaded is the result of a load.
type loaded struct {
	// Sent is how many requests were answered 204; any other answer is an error.
	Sent int
	// PerSecond is the rate of answers after the warm-up.
	PerSecond float64
	// P50 and P99 are measured from when a request was due (open loop) or sent.
	P50, P99 time.Duration
	Ended    time.Time
}

// args returns l as arguments of loaderChild.
func (l load) args() []string {
	return []string{
		"-addr", l.addr, "-requests", l.requests, "-first", fmt.Sprint(l.first),
		"-lasting", l.lasting.String(), "-rate", fmt.Sprint(l.rate),
	}
}

// loaderChild sends a load from a process with one thread, so that it uses the
// same share of the machine with every server.
func loaderChild(ctx context.Context, args []string) error {
	var l load
	flags := flag.NewFlagSet("loader", flag.ContinueOnError)
	flags.StringVar(&l.addr, "addr", "", "")
	flags.StringVar(&l.requests, "requests", "", "")
	flags.IntVar(&l.first, "first", 0, "")
	flags.DurationVar(&l.lasting, "lasting", 0, "")
	flags.IntVar(&l.rate, "rate", 0, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	runtime.GOMAXPROCS(1)
	done, err := l.send(ctx)
	if err != nil {
		return fmt.Errorf("load %s: %w", l.addr, err)
	}
	return json.NewEncoder(os.Stdout).Encode(done)
}

// loader is a running load.
type loader struct {
	load
	*requests
	next  atomic.Int64
	began time.Time
}

// send sends the load until it is complete or ctx ends, and waits for the answers.
func (l load) send(ctx context.Context) (loaded, error) {
	ready, err := readRequests(l.requests)
	if err != nil {
		return loaded{}, err
	}
	run := &loader{load: l, requests: ready}
	run.next.Store(int64(l.first))
	conns := make([]*connection, connections)
	for i := range conns {
		conns[i], err = run.dial(ctx)
		if ctx.Err() != nil { // a small storm can be over before the load begins
			return loaded{}, nil
		}
		if err != nil {
			return loaded{}, err
		}
		defer conns[i].Close()
	}
	run.began = time.Now()
	var wait sync.WaitGroup
	for _, c := range conns {
		wait.Go(func() { c.work(ctx) })
	}
	wait.Wait()
	return run.sum(conns)
}

// connection is one keep-alive connection and the answers received on it.
type connection struct {
	net.Conn
	*loader
	answer  [4096]byte
	answers []answer
	err     error
}

// answer is when an answer arrived, and how long it took.
type answer struct{ at, took time.Duration }

func (l *loader) dial(ctx context.Context) (*connection, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", l.addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	// The deadline ends a run that hangs; nothing here waits longer.
	if err := conn.SetDeadline(time.Now().Add(l.lasting + answerWithin)); err != nil {
		return nil, fmt.Errorf("set deadline: %w", err)
	}
	return &connection{Conn: conn, loader: l, answers: make([]answer, 0, 1<<14)}, nil
}

// answerWithin exceeds the 12 s that a door may take.
const answerWithin = 15 * time.Second

// work sends one request after another until the load ends.
func (c *connection) work(ctx context.Context) {
	for ctx.Err() == nil {
		n := int(c.next.Add(1)) - 1
		if n >= len(c.ends) {
			return
		}
		due := c.due(n)
		if due > c.lasting {
			return
		}
		if c.err = c.exchange(c.at(n)); c.err != nil {
			return
		}
		at := time.Since(c.began)
		c.answers = append(c.answers, answer{at, at - due})
	}
}

// due waits until request n is due, and returns that time.
func (c *connection) due(n int) time.Duration {
	now := time.Since(c.began)
	if c.rate == 0 {
		return now
	}
	due := time.Duration(n-c.first) * time.Second / time.Duration(c.rate)
	time.Sleep(due - now)
	return due
}

var (
	headEnd   = []byte("\r\n\r\n")
	noContent = []byte("HTTP/1.1 204 ")
)

// exchange sends a request and reads its answer. A 204 has no body.
func (c *connection) exchange(request []byte) error {
	if _, err := c.Write(request); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	read := 0
	for !bytes.HasSuffix(c.answer[:read], headEnd) {
		n, err := c.Read(c.answer[read:])
		if err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
		read += n
		if read >= len(noContent) && !bytes.HasPrefix(c.answer[:read], noContent) {
			status, _, _ := bytes.Cut(c.answer[:read], []byte("\r\n"))
			return fmt.Errorf("the answer is %q, not 204", status)
		}
	}
	return nil
}

// sum combines the answers of all connections.
func (l *loader) sum(conns []*connection) (loaded, error) {
	sum := loaded{Ended: time.Now()}
	var took []time.Duration
	var last time.Duration
	for _, c := range conns {
		if c.err != nil {
			return sum, c.err
		}
		sum.Sent += len(c.answers)
		for _, a := range c.answers {
			last = max(last, a.at)
			if a.at > warmUp {
				took = append(took, a.took)
			}
		}
	}
	if len(took) == 0 {
		return sum, fmt.Errorf("no answer after the warm-up of %s", warmUp)
	}
	sum.PerSecond = float64(len(took)) / (last - warmUp).Seconds()
	sum.P50, sum.P99 = percentile(took, 50), percentile(took, 99)
	return sum, nil
}

// percentile sorts values in place.
func percentile[T cmp.Ordered](values []T, p int) T {
	slices.Sort(values)
	return values[min(len(values)-1, len(values)*p/100)]
}
