package project

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"gavel/events"
	"gavel/internal/chain"
)

// Ledger records lanes whose journal is not the one that was processed, and what an operator
// accepted.
type Ledger interface {
	Read(ctx context.Context) (*chain.Book, error)
	Hold(ctx context.Context, lane int, f *chain.Fault) error
	Release(ctx context.Context, lane int) error
	// Note records how far a verification that an operator requested has come.
	Note(ctx context.Context, lane int, v chain.Verified) error
}

// Chain is what a projector needs to verify its journal.
type Chain struct {
	File   *chain.File
	Ledger Ledger
	// Patience is how long a journal must disagree, at each reading, before the lane is held.
	Patience time.Duration
	// Alone: no other process works the lanes, so a consumer's ack floor above the file's record is
	// damage, or what was acknowledged within the last second before a crash.
	Alone bool
}

// ClusterPatience is the patience with servers that elect leaders: for some seconds after an election
// a server may answer with an old state, or leave out the newest groups. Longer than three elections.
const ClusterPatience = 30 * time.Second

var (
	// errAccepted ends the hold of a lane: an operator accepted its journal.
	errAccepted = errors.New("the journal was accepted")
	// errSuspected: the journal has to be read again.
	errSuspected = errors.New("the journal is read again")
	// errLost holds a lane because of what another process found.
	errLost = errors.New("the journal has lost what was acknowledged")
	// errHole ends a session whose groups are not contiguous.
	errHole = errors.New("the journal does not deliver all groups")
)

const (
	// confirmAfter is the pause before a journal that does not agree is read again.
	confirmAfter = time.Second
	// acceptEvery is how often a held lane reads the ledger.
	acceptEvery = time.Second
	// fileEvery is how often the file is written, at the cost of two fsyncs if it changed.
	fileEvery = time.Second
)

// guard compares the journal of a lane with what Redis and the file remember of it. A nil guard
// remembers nothing.
type guard struct {
	Chain
	lane    int
	journal Journal
	store   positions
	log     *slog.Logger
	// whole: this process has read all of the lane and found it as it was processed. Only the
	// keeper and its session use it.
	whole bool
	// suspected is when the first of the verifications failed that have failed since.
	suspected time.Time
}

// positions reads what the picture remembers of a lane.
type positions interface {
	Applied(ctx context.Context, lane int) (applied events.Position, chain string, err error)
}

// opened is a lane's journal after its verification.
type opened struct {
	// record continues in this session. It is empty if the lane has none yet.
	record chain.Record
	// walks verify the whole lane while a fill reads it.
	walks []*chain.Walk
	// begin is the record that a fill computes.
	begin chain.Record
	// cut is set after an acceptance: groups behind it were never processed, whatever their numbers
	// are, and all before it that NATS still has were.
	accepted bool
	cut      uint64
	held     bool // the ledger holds the lane
	// since is when an operator accepted the lane last, zero before: holes of that time are known.
	since   time.Time
	applied uint64
	// inFile is the file's record: the groups up to its head were published and acknowledged.
	inFile chain.Record
	last   uint64 // the journal's last stream sequence
}

// open verifies the journal's numbers and the newest part of the lane. The error is a *chain.Fault
// if the journal is not the one that was processed.
func (g *guard) open(ctx context.Context) (o opened, err error) {
	book, err := g.Ledger.Read(ctx)
	if err != nil {
		return o, err
	}
	number := book.Numbers[g.lane]
	_, o.held = book.Held[g.lane]
	o.since = acceptedAt(book, number)
	inRedis, inFile, err := g.remembered(ctx, &o)
	if err != nil {
		return o, err
	}
	state, err := g.journal.State(ctx)
	if err != nil {
		return o, err
	}
	o.begin = chain.Begin(state, number, 0)
	var givenUp chain.Record
	for _, r := range []chain.Record{inFile, inRedis} { // the record that continues is last
		switch {
		case r.Empty():
		case r.Accepted < number:
			givenUp = r
		default:
			if err := g.verifyTail(ctx, r, state); err != nil {
				return o, err
			}
			o.record, o.walks = r, append(o.walks, chain.WalkAll(r))
		}
	}
	if err := g.lost(book); err != nil { // last: what the chain finds has an extent
		return o, err
	}
	o.inFile, o.last = inFile, state.Last
	o.record = o.record.Join(inFile)
	if o.record.Empty() && !givenUp.Empty() {
		o.accepted = true
		o.cut, err = g.journal.StoredUpTo(ctx, g.lane, time.Unix(0, givenUp.Head.Stored))
	}
	return o, err
}

func acceptedAt(book *chain.Book, number uint64) time.Time {
	for _, a := range book.Accepted {
		if a.Number == number {
			return a.At
		}
	}
	return time.Time{}
}

// lost returns why the lane has to wait although its owner finds nothing wrong, or nil.
func (g *guard) lost(book *chain.Book) error {
	if h := book.Held[g.lane]; h.Waits() {
		return fmt.Errorf("%w: %w", errLost, &h.Fault)
	}
	return nil
}

// remembered returns the two records. A text in Redis that cannot be parsed counts as none: the
// file has the same.
func (g *guard) remembered(ctx context.Context, o *opened) (inRedis, inFile chain.Record, err error) {
	applied, text, err := g.store.Applied(ctx, g.lane)
	if err != nil {
		return inRedis, inFile, err
	}
	o.applied = applied.Sequence
	inRedis, err = chain.Parse(text)
	if err != nil {
		g.log.Warn("chain in Redis cannot be read", "error", err)
	}
	return inRedis, g.File.Get(g.lane), nil
}

// verifyTail compares the numbers of the journal with r, and then the groups up to r's head.
func (g *guard) verifyTail(ctx context.Context, r chain.Record, state chain.Journal) error {
	if f := r.Compare(state); f != nil {
		return f
	}
	w := chain.WalkTail(r)
	if w.To() == 0 {
		return nil
	}
	return g.walk(ctx, w, nil)
}

// walk reads all groups of w. It calls progress, which may be nil, with each stream sequence.
func (g *guard) walk(ctx context.Context, w *chain.Walk, progress func(done uint64)) error {
	to := w.To()
	err := g.journal.Read(ctx, g.lane, w.From(), to, func(group events.Group) error {
		if progress != nil {
			progress(group.Sequence)
		}
		return orNil(w.Add(group.Sequence, group.Data, group.Stored))
	})
	if err == nil {
		err = orNil(w.End(to))
	}
	if err != nil {
		return fmt.Errorf("verify lane %d of the journal: %w", g.lane, err)
	}
	return nil
}

// orNil returns a nil error for a nil fault.
func orNil(f *chain.Fault) error {
	if f == nil {
		return nil
	}
	return f
}

// follow returns the record that the session of a lane continues whose picture was not made from all
// of its journal. Groups that were processed without the record, because an older Gavel ran meanwhile
// or the process was killed before it wrote the file, are added as they are. Without a record, one
// begins behind the picture's position.
func (g *guard) follow(ctx context.Context, o *opened, applied uint64) (chain.Record, error) {
	if o.record.Empty() {
		begin := o.begin
		begin.Base.Sequence = applied
		begin.Head = begin.Base
		return begin, nil
	}
	r := recorder{record: o.record}
	if r.record.Head.Sequence >= applied {
		return r.record, nil
	}
	err := g.journal.Read(ctx, g.lane, r.record.Head.Sequence+1, applied, func(group events.Group) error {
		return orNil(r.add(&group))
	})
	return r.record, err
}

// found records the result of a verification of the whole lane.
func (g *guard) found(f *chain.Fault) {
	g.whole = f == nil
	switch {
	case f == nil:
		g.suspected = time.Time{}
	case g.suspected.IsZero():
		g.suspected = time.Now()
	}
}

// trust forgets a suspicion: the lane failed for another reason, so the servers are not steady and the
// next verification counts as the first.
func (g *guard) trust() {
	if g != nil {
		g.suspected = time.Time{}
	}
}

// answer holds the lane after a session that ended with a fault. It always returns an error.
func (g *guard) answer(ctx context.Context, err error, f *chain.Fault) error {
	switch {
	case errors.Is(err, errLost):
		return g.await(ctx)
	case errors.Is(err, errHole):
		return g.hole(ctx, f)
	}
	return g.mismatch(ctx, f)
}

// mismatch holds the lane if its journal disagrees for longer than the patience, and at least twice.
// It always returns an error.
func (g *guard) mismatch(ctx context.Context, f *chain.Fault) error {
	before := !g.suspected.IsZero()
	g.found(f)
	if before && time.Since(g.suspected) >= g.Patience {
		g.log.Error("journal is not the one that was processed: the lane waits for an operator", "error", f)
		return g.hold(ctx, f)
	}
	if !before {
		g.log.Warn("journal does not look like the one that was processed and is read again", "error", f)
	}
	if err := wait(ctx, confirmAfter); err != nil {
		return err
	}
	return errSuspected
}

// hold keeps the lane until an operator accepts its journal. Meanwhile the door stores callbacks
// in it. It always returns an error.
func (g *guard) hold(ctx context.Context, f *chain.Fault) error {
	if err := g.Ledger.Hold(ctx, g.lane, f); err != nil {
		return err
	}
	return g.await(ctx)
}

// hole holds the lane because the journal did not deliver some groups, unless it has them now. It
// always returns an error.
func (g *guard) hole(ctx context.Context, f *chain.Fault) error {
	there := false
	err := g.journal.Read(ctx, g.lane, f.From, f.To, func(events.Group) error {
		there = true
		return nil
	})
	if err != nil {
		return err
	}
	if there {
		return errSuspected
	}
	g.log.Error("journal does not deliver groups that it has: the lane waits for an operator", "error", f)
	return g.hold(ctx, f)
}

// await waits until the lane is not held any more, or an operator accepts its journal. It always
// returns an error.
func (g *guard) await(ctx context.Context) error {
	for {
		if err := wait(ctx, acceptEvery); err != nil {
			return err
		}
		book, err := g.Ledger.Read(ctx)
		if err != nil {
			continue
		}
		switch h, held := book.Held[g.lane]; {
		case !held:
			return errSuspected
		case h.Accepted > 0:
			return errAccepted
		}
	}
}

// release ends the hold of a lane whose journal was accepted. A nil release does nothing.
type release struct {
	ledger Ledger
	lane   int
	// upTo is the newest sequence when the lane was taken over: readers would miss conferences whose
	// groups wait before it.
	upTo uint64
	done bool
}

// at ends the hold once the lane is worked up to a sequence.
func (r *release) at(ctx context.Context, worked uint64) error {
	if r == nil || r.done || worked < r.upTo {
		return nil
	}
	if err := r.ledger.Release(ctx, r.lane); err != nil {
		return err
	}
	r.done = true
	return nil
}

// reader returns a journal for a fill up to floor, which verifies what it reads against the
// records of o and makes a new one.
func (o *opened) reader(journal reader, floor uint64) *verifier {
	return &verifier{reader: journal, opened: o, floor: floor}
}

// verifier is the journal as a fill reads it.
type verifier struct {
	reader
	*opened
	floor  uint64
	hasher chain.Hasher
	// part: the fill continues an older picture and does not read the journal's beginning.
	part bool
}

// Read implements reader.
func (v *verifier) Read(ctx context.Context, lane int, from, to uint64, fn func(events.Group) error) error {
	if v.part = v.part || from > v.begin.Head.Sequence+1; v.part {
		return v.reader.Read(ctx, lane, from, to, fn)
	}
	err := v.reader.Read(ctx, lane, from, to, func(g events.Group) error {
		for _, w := range v.walks {
			if f := w.Add(g.Sequence, g.Data, g.Stored); f != nil {
				return f
			}
		}
		if g.Sequence > v.begin.Head.Sequence {
			v.begin.Add(v.hasher.Next(v.begin.Head, g.Sequence, g.Data, g.Stored))
		}
		return fn(g)
	})
	for _, w := range v.walks {
		if f := w.End(min(to, v.floor)); f != nil && err == nil && to >= v.floor {
			return f
		}
	}
	return err
}

// recorder continues the record of a lane while its groups are processed. A nil recorder does not.
type recorder struct {
	record chain.Record
	hasher chain.Hasher
	// gapless: the lane has all groups of the journal, so each missing sequence is damage. NATS does
	// not deliver a message whose checksum is wrong, without an error.
	gapless bool
	// since excuses the holes before a group that NATS stored earlier: an operator accepted them.
	since time.Time
}

// newRecorder continues r in the session of a lane that is the only one, or not.
func newRecorder(r *recorder, o *opened, only bool) *recorder {
	if r != nil {
		r.since, r.gapless = o.since, only && r.record.Journal.Deleted == 0
	}
	return r
}

// add adds a group. A group that was delivered before is in the chain already. It returns the hole
// before the group, nil without one.
func (r *recorder) add(g *events.Group) *chain.Fault {
	next := max(r.record.Head.Sequence+1, r.record.Journal.First)
	switch {
	case g.Sequence <= r.record.Head.Sequence:
		return nil
	case r.gapless && g.Sequence > next && g.Stored.After(r.since):
		return &chain.Fault{Kind: chain.Damaged, From: next, To: g.Sequence - 1, Why: "NATS does not deliver these groups"}
	}
	r.record.Add(r.hasher.Next(r.record.Head, g.Sequence, g.Data, g.Stored))
	return nil
}

// auditor verifies the lane while it is worked: all of it once in the life of a process, unless a
// fill has done so, and then a sample every sampleEvery.
type auditor struct {
	guard *guard
	walks []*chain.Walk
}

const (
	// sampleEvery is the pause between two samples.
	sampleEvery = 10 * time.Second
	// sampleShare bounds the reading of samples to one part in so many of the time.
	sampleShare = 100
	// auditEvery is how often the verification of the whole lane is logged.
	auditEvery = 5 * time.Second
	// requestEvery is how often the owner of a lane reads whether an operator requests a verification,
	// and how often it records its progress.
	requestEvery = time.Second
)

func (a *auditor) run(ctx context.Context) error {
	for _, w := range a.walks {
		if a.guard.whole {
			break
		}
		if err := a.all(ctx, w); err != nil {
			return err
		}
	}
	a.guard.found(nil)
	next := time.Now().Add(sampleEvery)
	for {
		if err := wait(ctx, requestEvery); err != nil {
			return err
		}
		if err := a.answer(ctx); err != nil {
			return err
		}
		began := time.Now()
		if began.Before(next) {
			continue
		}
		if err := a.guard.sample(ctx); err != nil {
			return err
		}
		next = time.Now().Add(max(sampleEvery, sampleShare*time.Since(began)))
	}
}

// answer verifies all of the lane if an operator requests it. Without an answer from NATS the next
// call tries again.
func (a *auditor) answer(ctx context.Context) error {
	g := a.guard
	book, err := g.Ledger.Read(ctx)
	if err != nil {
		return nil
	}
	if err := g.lost(book); err != nil {
		return err
	}
	number := book.Wanted(g.lane)
	if number == 0 {
		return nil
	}
	began, record := time.Now(), g.File.Get(g.lane)
	w := chain.WalkAll(record)
	v := chain.Verified{Number: number, From: w.From(), To: w.To()}
	state, err := g.journal.State(ctx)
	if err != nil {
		return err
	}
	if f := record.Compare(state); f != nil {
		return f
	}
	if w.To() > 0 {
		noted := time.Now()
		err = g.walk(ctx, w, func(done uint64) {
			if time.Since(noted) >= requestEvery {
				noted, v.Done = time.Now(), done
				_ = g.Ledger.Note(ctx, g.lane, v) // the next one shows more
			}
		})
		if err != nil {
			return err
		}
	}
	v.Done, v.Finished = v.To, true
	g.log.Info("journal verified on request", "of", v.To, "took_seconds", time.Since(began).Seconds())
	return g.Ledger.Note(ctx, g.lane, v)
}

// all verifies the whole lane.
func (a *auditor) all(ctx context.Context, w *chain.Walk) error {
	to, began := w.To(), time.Now()
	logged := began
	progress := func(done uint64) {
		if now := time.Now(); now.Sub(logged) >= auditEvery {
			logged = now
			a.guard.log.Info("verifying the journal", "read", done, "of", to)
		}
	}
	if err := a.guard.walk(ctx, w, progress); err != nil {
		return err
	}
	a.guard.log.Debug("journal verified", "of", to, "took_seconds", time.Since(began).Seconds())
	return nil
}

// sample compares the journal's numbers with the record, and reads one part of the lane.
func (g *guard) sample(ctx context.Context) error {
	r := g.File.Get(g.lane)
	state, err := g.journal.State(ctx)
	if err != nil {
		return err
	}
	if f := r.Compare(state); f != nil {
		return f
	}
	if w := chain.WalkSample(r, rand.IntN); w.To() > 0 {
		return g.walk(ctx, w, nil)
	}
	return nil
}

// writeFile writes the file whenever it changed, and at the end.
func (c *Chain) writeFile(ctx context.Context, log *slog.Logger) error {
	for {
		stopped := wait(ctx, fileEvery)
		if err := c.File.Write(); err != nil {
			log.Warn("file beside the journal cannot be written: a rollback of the journal may not be noticed", "error", err)
		}
		if stopped != nil {
			return stopped
		}
	}
}
