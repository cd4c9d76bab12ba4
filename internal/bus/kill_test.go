package bus_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"gavel/events"
	"gavel/internal/bus"
)

// victimDir names the environment variable that makes a process of this test
// binary a victim, and holds the victim's data directory.
const victimDir = "BUS_TEST_VICTIM"

// victim stores decisions, delays decisions, sets and receives alarms, prints a
// line when all is acknowledged, and keeps receiving until it is killed.
func victim(dir string) {
	ctx := context.Background()
	b, err := bus.Open(ctx, bus.Config{DataDir: dir, Sync: bus.SyncInterval}, slog.New(slog.DiscardHandler))
	check(err)
	heard := make(chan int, 1000)
	go func() {
		check(b.Timers().Alarms(ctx, func(_ context.Context, keys []events.Key) error {
			heard <- len(keys)
			return nil
		}))
	}()
	check(b.Timers().Set(ctx, 0, alarmsAt(time.Now(), 1, 100)))
	for left := 100; left > 0; {
		left -= <-heard
	}
	check(b.Timers().Set(ctx, 0, alarmsAt(time.Now().Add(time.Hour), 1, 200)))
	for n := range 50 {
		check(b.Timers().Later(ctx, conferenceKey(n), decision(n).ID, time.Now(), nil))
	}
	_, err = b.Actions().Decide(ctx, decisions(1, 500))
	check(err)
	fmt.Fprintln(os.Stdout, "acknowledged")
	select {}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// kill runs a victim until everything is acknowledged, and kills it.
func kill(t *testing.T, dir string) {
	t.Helper()
	command := exec.CommandContext(testContext(t), os.Args[0])
	command.Env = append(os.Environ(), victimDir+"="+dir)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	_ = command.Process.Kill()
	_ = command.Wait() // killed
	if line != "acknowledged\n" {
		t.Fatalf("the victim printed %q", line)
	}
}

// A kill loses no decision, delayed or not. It may lose alarms, but none that is set again.
func TestAKillLosesNoDecision(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for round := range 3 {
		kill(t, dir)
		b := open(t, func(c *bus.Config) { c.DataDir = dir })
		if fresh := mustDecide(t, b, decisions(1, 500)...); fresh != 0 {
			t.Errorf("round %d: %d decisions are lost", round, fresh)
		}
		came, stopDues := dues(t, b, func(due) error { return nil })
		late := map[string]bool{}
		for len(late) < 50 {
			late[receive(t, "what was put off", came).ID] = true
		}
		heard, stop := hear(t, b, everyRing)
		mustSet(t, b, 0, alarmsAt(time.Now(), 1, 200)...)
		rang := map[events.Key]bool{}
		for len(rang) < 200 {
			for _, key := range receive(t, "a ring", heard).keys {
				rang[key] = true
			}
		}
		stop()
		stopDues()
		closeBus(t, b)
	}
}
