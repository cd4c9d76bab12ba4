package chain_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gavel/events"
	"gavel/internal/chain"
)

// bucket is a bucket in memory.
type bucket struct {
	mu       sync.Mutex
	value    []byte
	revision uint64
}

func (b *bucket) Read(context.Context, string) ([]byte, uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.revision == 0 {
		return nil, 0, events.ErrKeyNotFound
	}
	return b.value, b.revision, nil
}

func (b *bucket) Update(_ context.Context, _ string, value []byte, revision uint64) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if revision != b.revision {
		return 0, events.ErrKeyChanged
	}
	b.value, b.revision = value, b.revision+1
	return b.revision, nil
}

func TestAnAcceptanceIsForTheLanesThatAreHeld(t *testing.T) {
	t.Parallel()
	shared := new(bucket)
	now := func() time.Time { return noon }
	var seen *chain.Book
	owner := chain.NewLedger(shared, now, func(b *chain.Book) { seen = b })
	operator := chain.NewLedger(shared, now, func(*chain.Book) {})
	ctx := t.Context()
	if _, err := operator.Accept(ctx, "why not", "kate"); !errors.Is(err, chain.ErrNothing) {
		t.Errorf("an acceptance of nothing: %v", err)
	}
	fault := &chain.Fault{Kind: chain.Damaged, From: 5, To: 9, Why: "bits"}
	if err := owner.Hold(ctx, 2, fault); err != nil {
		t.Fatal(err)
	}
	if err := seen.Why(chain.Damaged); err == nil || !strings.Contains(err.Error(), "lane 2: journal-damaged from 5 to 9") || seen.Why(chain.Behind) != nil {
		t.Errorf("damaged: %v; behind: %v", err, seen.Why(chain.Behind))
	}
	for _, reason := range []string{"", strings.Repeat("x", chain.MaxReason+1)} {
		if _, err := operator.Accept(ctx, reason, "kate"); !errors.Is(err, chain.ErrReason) {
			t.Errorf("a reason of %d bytes: %v", len(reason), err)
		}
	}
	a, err := operator.Accept(ctx, "no backup", "kate")
	if err != nil || a.Number != 1 || len(a.Lanes) != 1 || a.Lanes[2] != *fault || a.By != "kate" || !a.At.Equal(noon) {
		t.Fatalf("accepted %+v, %v", a, err)
	}
	if _, err := operator.Accept(ctx, "twice", "kate"); !errors.Is(err, chain.ErrNothing) {
		t.Errorf("a second acceptance of the same: %v", err)
	}
	b, err := owner.Read(ctx)
	if err != nil || b.Held[2].Accepted != 1 || b.Numbers[2] != 1 || b.Why(chain.Damaged) == nil {
		t.Errorf("while it is filled: %+v, %v", b, err)
	}
	for range 2 { // the second has no effect
		if err := owner.Release(ctx, 2); err != nil {
			t.Fatal(err)
		}
	}
	if b, err = owner.Read(ctx); err != nil || len(b.Held) > 0 || b.Numbers[2] != 1 || len(b.Accepted) != 1 {
		t.Errorf("after it was filled: %+v, %v", b, err)
	}
	if err := owner.Hold(ctx, 2, fault); err != nil {
		t.Fatal(err)
	}
	if b, err = owner.Read(ctx); err != nil || b.Held[2].Accepted != 0 {
		t.Errorf("a later fault needs an acceptance of its own: %+v, %v", b, err)
	}
}

func TestAcceptancesAreBounded(t *testing.T) {
	t.Parallel()
	l := chain.NewLedger(new(bucket), func() time.Time { return noon }, func(*chain.Book) {})
	for n := range 60 {
		if err := l.Hold(t.Context(), 0, &chain.Fault{Kind: chain.Behind, Why: fmt.Sprint(n)}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Accept(t.Context(), fmt.Sprint(n), "kate"); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := l.Read(t.Context()); err != nil || len(b.Accepted) != 50 || b.Last != 60 || b.Accepted[49].Reason != "59" {
		t.Errorf("%d acceptances, the last is %d, %v", len(b.Accepted), b.Last, err)
	}
}
