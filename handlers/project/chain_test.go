package project_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"gavel/events"
	"gavel/handlers/project"
	"gavel/internal/bus"
	"gavel/internal/chain"
)

// verified is a projector's configuration that verifies the journal. The file is in a folder of its
// own, as the data directory is beside the folder of the embedded NATS.
func (s *stack) verified(t *testing.T, dir string) (project.Config, *chain.Ledger) {
	t.Helper()
	file, err := chain.OpenFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := s.config()
	ledger := chain.NewLedger(s.bus.Brakes(), time.Now, func(*chain.Book) {})
	c.Chain = &project.Chain{File: file, Ledger: ledger}
	return c, ledger
}

// restart closes NATS, lets change work on its files, and opens it again.
func (s *stack) restart(t *testing.T, dir string, change func(store string)) {
	t.Helper()
	if err := s.bus.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	change(filepath.Join(dir, "nats"))
	b, err := bus.Open(t.Context(), bus.Config{DataDir: dir, Sync: bus.SyncInterval, Listen: bus.ListenOff}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	s.bus = b
}

// copyTo replaces a folder by a copy of another.
func copyTo(t *testing.T, to, from string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// held waits until the lane waits for an operator, and returns the fault.
func (s *stack) held(t *testing.T, l *chain.Ledger) chain.Fault {
	t.Helper()
	var fault chain.Fault
	s.until(t, "the lane is held", func() bool {
		book, err := l.Read(t.Context())
		if err != nil {
			return false
		}
		h, held := book.Held[0]
		fault = h.Fault
		return held
	})
	return fault
}

// A backup of NATS is restored while Redis has newer data. Sequence numbers are used again, so
// records would skip the new callbacks as processed: Gavel swallowed all of them.
func TestAJournalRestoredFromABackupSwallowsNoCallback(t *testing.T) {
	t.Parallel()
	dir, beside := t.TempDir(), t.TempDir()
	s := newStackOf(t, bus.Config{DataDir: dir, Listen: bus.ListenOff})
	c, _ := s.verified(t, beside)
	_, stop := run(t, c)
	s.tell(t, call(1)...)
	s.tell(t, call(2)[:3]...)
	s.settled(t)
	stop()
	backup := filepath.Join(t.TempDir(), "backup")
	s.restart(t, dir, func(store string) { copyTo(t, backup, store) })

	c, _ = s.verified(t, beside)
	_, stop = run(t, c)
	s.tell(t, call(2)[3:]...)
	s.tell(t, call(3)...)
	s.settled(t)
	stop()

	s.restart(t, dir, func(store string) { copyTo(t, store, backup) })
	c, ledger := s.verified(t, beside)
	p, stop := run(t, c)
	fault := s.held(t, ledger)
	if fault.Kind != chain.Behind || fault.From != 12 || fault.To != 24 {
		t.Errorf("the fault is %+v", fault)
	}
	s.tell(t, call(2)[3:]...)
	s.tell(t, call(4)...)
	s.until(t, "the state says so", func() bool { return strings.Contains(p.States()[0].Err, "journal-behind") })
	stop()

	// After a restart the journal is as long as before, and its groups are others.
	s.tell(t, call(5)...)
	c, ledger = s.verified(t, beside)
	released := make(chan error, 16)
	c.Chain.Ledger = watchedLedger{ledger, func() {
		_, err := s.tryStored(5)
		released <- err
	}}
	run(t, c)
	s.until(t, "the changed groups are found", func() bool {
		book, err := ledger.Read(t.Context())
		return err == nil && book.Held[0].Kind == chain.Damaged
	})
	if _, err := ledger.Accept(t.Context(), "the backup is all there is", "kate"); err != nil {
		t.Fatal(err)
	}
	s.settled(t)
	s.agree(t, 1, 2, 4, 5)
	s.until(t, "the lane is not held any more", func() bool {
		book, err := ledger.Read(t.Context())
		return err == nil && len(book.Held) == 0 && len(book.Accepted) == 1
	})
	// Readers answer from that moment: a callback that waited would be a conference that is not found.
	if err := <-released; err != nil {
		t.Errorf("the hold ended while callbacks waited: %v", err)
	}
}

// watchedLedger calls released before a hold ends.
type watchedLedger struct {
	project.Ledger
	released func()
}

func (l watchedLedger) Release(ctx context.Context, lane int) error {
	l.released()
	return l.Ledger.Release(ctx, lane)
}

// flip changes one bit in the middle of the journal's first block.
func flip(t *testing.T, store string) { flipAt(t, store, 2) }

// flipAt changes one bit behind one part in so many of the journal's first block.
func flipAt(t *testing.T, store string, part int) {
	t.Helper()
	blocks, err := filepath.Glob(filepath.Join(store, "jetstream", "*", "streams", "GAVEL_JOURNAL", "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatalf("blocks of the journal: %v, %v", blocks, err)
	}
	raw, err := os.ReadFile(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/part] ^= 1
	if err := os.WriteFile(blocks[0], raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// One bit of the journal flips on the disk. After a clean stop one message was gone without a line
// in the log, after kill -9 all behind it; what was lost answered 404 on a ready process.
func TestOneFlippedBitInTheJournalHoldsTheLane(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ kill, keepStore bool }{
		"clean stop, embedded store": {},
		"kill, embedded store":       {kill: true},
		"clean stop, Redis":          {keepStore: true},
		"kill, Redis":                {kill: true, keepStore: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, beside := t.TempDir(), t.TempDir()
			s := newStackOf(t, bus.Config{DataDir: dir, Listen: bus.ListenOff})
			config, _ := s.verified(t, beside)
			_, stop := run(t, config)
			for n := range 5 {
				s.tell(t, call(n+1)...)
			}
			s.settled(t)
			stop()
			killed := filepath.Join(t.TempDir(), "killed")
			copyTo(t, killed, filepath.Join(dir, "nats"))
			s.restart(t, dir, func(store string) {
				if c.kill {
					copyTo(t, store, killed)
				}
				flip(t, store)
			})
			if !c.keepStore {
				s.loseStore(t)
			}
			config, ledger := s.verified(t, beside)
			run(t, config)
			fault := s.held(t, ledger)
			t.Logf("%+v", fault)
			if fault.From < 1 || fault.To > 40 || fault.From > fault.To {
				t.Errorf("the extent is %d to %d", fault.From, fault.To)
			}
			s.tell(t, call(9)...)
			if _, err := ledger.Accept(t.Context(), "no backup", "kate"); err != nil {
				t.Fatal(err)
			}
			s.settled(t)
			s.agree(t, 1, 9)
		})
	}
}

// purge removes messages of the journal by hand.
func (s *stack) purge(t *testing.T, dir string, options ...jetstream.StreamPurgeOpt) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(dir, "nats.token"))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.bus.Info().URL, nats.Token(strings.TrimSpace(string(token))))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "GAVEL_JOURNAL")
	if err == nil {
		err = stream.Purge(t.Context(), options...)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A person purges the journal, at its front or one lane in its middle, while Gavel is stopped.
// What was purged answered 404 on a ready process.
func TestAPurgedJournalHoldsTheLane(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		purge    jetstream.StreamPurgeOpt
		from, to uint64
	}{
		"front": {jetstream.WithPurgeSequence(9), 1, 8},
		"lane":  {jetstream.WithPurgeSubject("gavel.journal.0"), 1, 16},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := newStackOf(t, bus.Config{DataDir: dir, Lanes: 2, Listen: "127.0.0.1:0"})
			config, ledger := s.verified(t, t.TempDir())
			_, stop := run(t, config)
			for n := 1; n <= 2; n++ {
				for events.Lane(conferenceSid(n), 2) != 0 {
					n++
				}
				s.tell(t, call(n)...)
			}
			for there := 1; ; there++ {
				if events.Lane(conferenceSid(there), 2) == 1 {
					s.tell(t, call(there)...)
					break
				}
			}
			s.settled(t)
			stop()
			s.purge(t, dir, c.purge)
			s.loseStore(t)
			config.Store = s.store
			run(t, config)
			if fault := s.held(t, ledger); fault.Kind != chain.Shortened || fault.From > c.from || fault.To < c.from {
				t.Errorf("the fault is %+v", fault)
			}
		})
	}
}

// An older Gavel has worked the lane and stored no chain, once before this one and once in between.
func TestDataOfAnOlderGavelAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	older := func(c ...told) {
		_, stop := run(t, s.config())
		s.tell(t, c...)
		s.settled(t)
		stop()
	}
	beside := t.TempDir()
	newer := func(c ...told) {
		config, ledger := s.verified(t, beside)
		config.Store = lossless{config.Store, t}
		_, stop := run(t, config)
		s.tell(t, c...)
		s.settled(t)
		stop()
		if book, err := ledger.Read(t.Context()); err != nil || len(book.Held) > 0 {
			t.Errorf("held: %+v, %v", book, err)
		}
	}
	older(call(1)...)
	newer(call(2)...)
	newer(call(3)...)
	older(call(4)...)
	newer(call(5)...)
	newer(call(6)...)
	s.agree(t, 1, 2, 3, 4, 5, 6)
}

// Where the picture is whole, a lane goes on at once, and all of its journal is read meanwhile.
func TestDamageFarBehindIsFoundWhileTheLaneIsWorked(t *testing.T) {
	t.Parallel()
	dir, beside := t.TempDir(), t.TempDir()
	s := newStackOf(t, bus.Config{DataDir: dir, Listen: bus.ListenOff})
	config, _ := s.verified(t, beside)
	_, stop := run(t, config)
	s.tell(t, call(1)...)
	for range 1800 {
		s.tell(t, told{2, 0, events.ParticipantJoin, 1})
	}
	s.settled(t)
	stop()
	s.restart(t, dir, func(store string) { flipAt(t, store, 4) })
	config, ledger := s.verified(t, beside)
	run(t, config)
	fault := s.held(t, ledger)
	if fault.Kind != chain.Damaged || fault.To-fault.From >= 512 || fault.To > 1024 {
		t.Errorf("the fault is %+v", fault)
	}
}

// A person purges the front of the journal while Gavel runs.
func TestAPurgeWhileGavelRunsIsFoundByASample(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newStackOf(t, bus.Config{DataDir: dir, Listen: "127.0.0.1:0"})
	config, _ := s.verified(t, t.TempDir())
	p, _ := run(t, config)
	s.tell(t, call(1)...)
	s.settled(t)
	s.until(t, "the record is as new as the journal", func() bool { return config.Chain.File.Get(0).Head.Sequence == 8 })
	if err := p.Sample(t.Context(), 0); err != nil {
		t.Errorf("an untouched journal: %v", err)
	}
	s.purge(t, dir, jetstream.WithPurgeSequence(5))
	var fault *chain.Fault
	if err := p.Sample(t.Context(), 0); !errors.As(err, &fault) || fault.Kind != chain.Shortened || fault.From != 1 || fault.To != 4 {
		t.Errorf("a purged journal: %v", err)
	}
}

// Two processes take turns on a lane, each with a file of its own, so that each finds its file behind
// what the other one processed. Neither holds the lane.
func TestAFileThatIsBehindTheOtherProcessHoldsNoLane(t *testing.T) {
	t.Parallel()
	dir, files := t.TempDir(), [2]string{t.TempDir(), t.TempDir()}
	s := newStackOf(t, bus.Config{DataDir: dir, Listen: bus.ListenOff})
	for n := range 4 {
		c, ledger := s.verified(t, files[n%2])
		_, stop := run(t, c)
		s.tell(t, call(n+1)...)
		s.settled(t)
		stop()
		if book, err := ledger.Read(t.Context()); err != nil || len(book.Held) > 0 {
			t.Fatalf("turn %d: %+v, %v", n, book, err)
		}
	}
	heads := [2]uint64{}
	for i, file := range files {
		f, err := chain.OpenFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r := f.Get(0)
		heads[i] = r.Head.Sequence
	}
	if heads[0] == 0 || heads[0] >= heads[1] {
		t.Errorf("the files end at %v", heads)
	}
}

// A message that no lane has processed is damaged, and NATS does not deliver it, without an error. The
// groups behind it were folded as if nothing had been there.
func TestAGroupThatIsNotDeliveredHoldsTheLane(t *testing.T) {
	t.Parallel()
	dir, beside := t.TempDir(), t.TempDir()
	s := newStackOf(t, bus.Config{DataDir: dir, Listen: bus.ListenOff})
	c, _ := s.verified(t, beside)
	_, stop := run(t, c)
	s.tell(t, call(1)...)
	s.settled(t)
	stop()
	s.tell(t, call(2)...)
	s.tell(t, call(3)...)
	s.restart(t, dir, func(store string) { flip(t, store) })
	work := func() (ledger *chain.Ledger, stop func()) {
		c, ledger := s.verified(t, beside)
		c.Chain.Alone = true
		_, stop = run(t, c)
		return ledger, stop
	}
	ledger, stop := work()
	if fault := s.held(t, ledger); fault.Kind != chain.Damaged || fault.From != fault.To || fault.From <= 8 {
		t.Errorf("the fault is %+v", fault)
	}
	stop()
	// After an acceptance no owner finds it again.
	ledger, stop = work()
	s.until(t, "an operator can accept", func() bool {
		_, err := ledger.Accept(t.Context(), "no backup", "kate")
		return err == nil
	})
	s.settled(t)
	stop()
	s.tell(t, call(4)...)
	ledger, _ = work()
	s.settled(t)
	s.agree(t, 1, 4)
	s.until(t, "the lane is not held any more", func() bool {
		book, err := ledger.Read(t.Context())
		return err == nil && len(book.Held) == 0 && len(book.Accepted) == 1
	})
}
