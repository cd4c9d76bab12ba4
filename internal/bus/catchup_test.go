package bus_test

import (
	"context"
	"errors"
	"testing"
	"time"
)

// CatchUp returns when a projector has acknowledged all earlier entries.
func TestCatchingUpWaitsForTheProjector(t *testing.T) {
	t.Parallel()
	b := open(t)
	if err := b.CatchUp(t.Context()); err != nil {
		t.Fatalf("an empty journal: %v", err)
	}
	mustAppend(t, b, numbered(1, 3)...)
	soon, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := b.CatchUp(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no projector owns the lane: %v", err)
	}
	caught := make(chan error, 1)
	go func() { caught <- b.CatchUp(t.Context()) }()
	lane := b.Lane(0)
	mustResume(t, lane)
	mustAck(t, lane, take(t, lane, 3))
	if err := <-caught; err != nil {
		t.Error(err)
	}
}
