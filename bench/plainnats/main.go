//go:build plainnats

// Plainnats publishes messages to JetStream and consumes them at the same time, with
// acknowledgements in both directions: what the client library and the server can do without any
// part of Gavel. The bench builds and runs it for its row storm.
//
// It is a separate program because only internal/bus may import nats.go.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	stream = "PLAIN"
	// size is about that of a decision, in bytes.
	size = 600
	// doneWithin ends a run that hangs.
	doneWithin = 2 * time.Minute
	// unsettled limits the messages delivered and not acknowledged, as Gavel
	// limits them for decisions.
	unsettled = 4096
)

// worked is the result that the bench reads.
type worked struct {
	Events  int
	Seconds float64
}

func main() {
	url := flag.String("nats", "", "")
	count := flag.Int("messages", 0, "")
	flag.Parse()
	took, err := run(*url, *count)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(worked{*count, took.Seconds()})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "plainnats:", err)
		os.Exit(1)
	}
}

// run measures from the first publish to the last acknowledgement.
func run(url string, count int) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), doneWithin)
	defer cancel()
	conn, err := nats.Connect(url)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{"plain.*"}}); err != nil {
		return 0, fmt.Errorf("make the stream: %w", err)
	}
	defer func() { err = errors.Join(err, js.DeleteStream(context.WithoutCancel(ctx), stream)) }()
	began := time.Now()
	consumed, stop, err := consume(ctx, js, count)
	if err != nil {
		return 0, err
	}
	defer stop()
	if err := publish(ctx, js, count); err != nil {
		return 0, err
	}
	select {
	case err = <-consumed:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return time.Since(began), err
}

// publish returns when all messages are acknowledged.
func publish(ctx context.Context, js jetstream.JetStream, count int) error {
	body := bytes.Repeat([]byte{'x'}, size)
	for n := range count {
		// The library's default timeout is 200 ms, too short for a busy machine.
		if _, err := js.PublishAsync(fmt.Sprint("plain.", n), body, jetstream.WithStallWait(doneWithin)); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("publish: %w", ctx.Err())
	}
}

// consume acknowledges the messages; for the last one it waits until the server
// has confirmed the acknowledgement.
func consume(ctx context.Context, js jetstream.JetStream, count int) (done <-chan error, stop func(), err error) {
	consumer, err := js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable: "plain", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: unsettled,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("make the consumer: %w", err)
	}
	ended, seen := make(chan error, 1), 0
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		if seen++; seen == count {
			ended <- m.DoubleAck(ctx)
		} else if err := m.Ack(); err != nil {
			ended <- err
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("consume: %w", err)
	}
	return ended, consuming.Stop, nil
}
