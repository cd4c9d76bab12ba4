package app

import (
	"context"
	"fmt"
	"time"

	"gavel/events"
	"gavel/internal/bus"
	"gavel/internal/chain"
	"gavel/projections"
)

// ledgerEvery is how often a process reads which lanes other processes hold.
const ledgerEvery = time.Second

// conditionOf is the store's condition for each kind of fault of the journal.
var conditionOf = map[chain.Kind]bus.Condition{
	chain.Behind: bus.JournalBehind, chain.Shortened: bus.JournalShortened, chain.Damaged: bus.JournalDamaged,
}

// openJournal follows which lanes of the journal wait for an operator, in every process.
func (a *App) openJournal(ctx context.Context) error {
	a.ledger = chain.NewLedger(a.bus.Brakes(), time.Now, a.reportJournal)
	if _, err := a.ledger.Read(ctx); err != nil {
		return err
	}
	a.Go("journal ledger", every(ledgerEvery, func(ctx context.Context) {
		// Without an answer the last state stays; health reports that NATS does not answer.
		_, _ = a.ledger.Read(ctx)
	}))
	return a.verifyMarks(ctx)
}

func (a *App) reportJournal(b *chain.Book) {
	a.heldLanes.Store(b)
	for kind, condition := range conditionOf {
		a.bus.Store().Report(condition, b.Why(kind))
	}
}

// openFile opens the file of the chain. A damaged file does not keep the process from starting.
func (a *App) openFile() *chain.File {
	file, err := chain.OpenFile(a.DataDir)
	if err != nil {
		a.log.Warn("file beside the journal cannot be read and begins again", "component", "project", "error", err)
	}
	return file
}

// verifiedReader is the picture for readers. It does not answer about lanes that are held: what
// their journal has lost would look as if it never happened.
type verifiedReader struct {
	projections.Reader
	app *App
}

// Conference implements projections.Reader. A conference of another lane is answered.
func (r verifiedReader) Conference(ctx context.Context, key events.Key) (projections.Stored, error) {
	lane := events.Lane(key.ConferenceSid, r.app.bus.Info().Lanes)
	if b := r.app.heldLanes.Load(); b != nil {
		if h, held := b.Held[lane]; held {
			return projections.Stored{}, fmt.Errorf("%w: %w", projections.ErrFilling, &h.Fault)
		}
	}
	return r.Reader.Conference(ctx, key)
}

// Conferences implements projections.Reader.
func (r verifiedReader) Conferences(ctx context.Context, account string, q projections.Query) (projections.Page, error) {
	if err := r.whole(); err != nil {
		return projections.Page{}, err
	}
	return r.Reader.Conferences(ctx, account, q)
}

// Accounts implements projections.Reader.
func (r verifiedReader) Accounts(ctx context.Context) ([]string, error) {
	if err := r.whole(); err != nil {
		return nil, err
	}
	return r.Reader.Accounts(ctx)
}

// Armed implements projections.Reader.
func (r verifiedReader) Armed(ctx context.Context, account string, most int) ([]projections.Due, error) {
	if err := r.whole(); err != nil {
		return nil, err
	}
	return r.Reader.Armed(ctx, account, most)
}

// whole returns why a list over all lanes cannot be answered, or nil.
func (r verifiedReader) whole() error {
	if err := r.app.bus.Store().Readers(); err != nil {
		return fmt.Errorf("%w: %w", projections.ErrFilling, err)
	}
	return nil
}
