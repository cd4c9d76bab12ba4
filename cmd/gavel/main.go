// Command gavel turns Twilio conference callbacks into a durable event log and
// a live picture of every conference.
//
// Reading order: main.go, cli.go (the commands), config.go and file.go (the
// settings), serve.go (which runs the process of package app), client.go (what
// the other commands share); then one file for each command. Package render prints.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal has its usual effect: the process ends at once and does not
	// wait for the drain.
	context.AfterFunc(ctx, stop)
	unsetEmpty()
	os.Exit(run(ctx, os.Args[1:], terminal{os.Stdin, os.Stdout, os.Stderr, os.LookupEnv}))
}

// unsetEmpty removes Gavel's and Twilio's empty variables from the environment: compose files set
// each variable that they name, and an empty one must not override gavel.yaml or a default.
func unsetEmpty() {
	for _, variable := range os.Environ() {
		name, empty := strings.CutSuffix(variable, "=")
		if empty && (strings.HasPrefix(name, "GAVEL_") || strings.HasPrefix(name, "TWILIO_")) {
			_ = os.Unsetenv(name) // it fails only for an invalid name, which was not set
		}
	}
}

// hangups delivers the SIGHUPs that make the process read its accounts again.
// Without it, and after stop, a SIGHUP ends the process.
func hangups() (signals <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1) // a waiting one covers those that follow
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// terminal is what a command reads and writes besides its flags.
type terminal struct {
	in     io.Reader
	out    io.Writer
	err    io.Writer
	lookup func(name string) (string, bool) // the environment
}

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2 // the command line or the settings are wrong
)
