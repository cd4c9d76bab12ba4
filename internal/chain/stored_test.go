package chain_test

import (
	"os"
	"path/filepath"
	"testing"

	"gavel/internal/chain"
)

func openStored(t *testing.T, dir string, atOnce bool) *chain.Stored {
	t.Helper()
	s, err := chain.OpenStored(dir, atOnce)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestAMarkSurvivesAKillOfTheProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStored(t, dir, true)
	if _, ok := s.Mark(3); ok {
		t.Error("a new file has a mark")
	}
	s.Note(3, 6, []byte("before the lane was compared"))
	s.Begin(3, 1000, 2)
	s.Note(3, 7, []byte("seven"))
	killed := openStored(t, dir, true)
	mark, ok := killed.Mark(3)
	if !ok || mark.Sequence != 7 || mark.Created != 1000 || mark.Accepted != 2 {
		t.Errorf("the mark is %+v, %v", mark, ok)
	}
	if _, ok := killed.Mark(2); ok {
		t.Error("another lane has a mark")
	}
}

// The mark stays that of the last run until the journal is compared with it: what the door stores
// meanwhile must not hide a loss.
func TestAMarkStaysUntilItsLaneBegins(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStored(t, dir, true)
	s.Begin(0, 1000, 0)
	s.Note(0, 7, []byte("seven"))
	s = openStored(t, dir, true)
	s.Note(0, 5, []byte("the journal counts again"))
	if mark, _ := openStored(t, dir, true).Mark(0); mark.Sequence != 7 {
		t.Errorf("the mark is %+v", mark)
	}
	s.Begin(0, 1000, 1)
	if mark, ok := openStored(t, dir, true).Mark(0); ok || mark.Accepted != 1 {
		t.Errorf("after an acceptance the mark is %+v, %v", mark, ok)
	}
}

// A NATS on another machine must not wait for the disk of this one.
func TestMarksOfAnExternalNATSAreWrittenByFlush(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStored(t, dir, false)
	s.Begin(0, 1000, 0)
	s.Note(0, 7, []byte("seven"))
	if mark, _ := openStored(t, dir, false).Mark(0); mark.Sequence != 0 {
		t.Errorf("before the flush the mark is %+v", mark)
	}
	s.Flush()
	if mark, _ := openStored(t, dir, false).Mark(0); mark.Sequence != 7 {
		t.Errorf("after the flush the mark is %+v", mark)
	}
}

func TestADamagedMarkIsNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStored(t, dir, true)
	for lane := range 2 {
		s.Begin(lane, 1000, 0)
		s.Note(lane, 7, []byte("seven"))
	}
	path := filepath.Join(dir, chain.StoredFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[17] ^= 1
	if err := os.WriteFile(path, raw[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	s = openStored(t, dir, true)
	for lane := range 2 { // the second one is cut off
		if mark, ok := s.Mark(lane); ok {
			t.Errorf("the mark of lane %d is %+v", lane, mark)
		}
	}
}

func TestAMarkFindsWhatTheJournalLost(t *testing.T) {
	t.Parallel()
	s := openStored(t, t.TempDir(), true)
	s.Begin(0, 1000, 0)
	s.Note(0, 7, []byte("seven"))
	mark := s.At(0)
	for name, c := range map[string]struct {
		journal chain.Journal
		data    string
		want    chain.Fault
	}{
		"whole":          {chain.Journal{Created: 1000, First: 1, Last: 9}, "seven", chain.Fault{}},
		"ends before":    {chain.Journal{Created: 1000, First: 1, Last: 4}, "", chain.Fault{Kind: chain.Behind, From: 5, To: 7}},
		"empty":          {chain.Journal{Created: 1000}, "", chain.Fault{Kind: chain.Behind, From: 1, To: 7}},
		"cannot be read": {chain.Journal{Created: 1000, First: 1, Last: 9}, "", chain.Fault{Kind: chain.Damaged, From: 7, To: 7}},
		"grown again":    {chain.Journal{Created: 1000, First: 1, Last: 9}, "new", chain.Fault{Kind: chain.Damaged, From: 7, To: 7}},
		"front purged":   {chain.Journal{Created: 1000, First: 8, Last: 9}, "", chain.Fault{}},
		"another one":    {chain.Journal{Created: 2000, First: 1, Last: 1}, "", chain.Fault{}},
	} {
		var data []byte
		if c.data != "" {
			data = []byte(c.data)
		}
		got := chain.Fault{}
		if f := mark.Compare(c.journal, data); f != nil {
			got, got.Why = *f, ""
		}
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// BenchmarkNote measures what a mark costs each group of the door.
func BenchmarkNote(b *testing.B) {
	s, err := chain.OpenStored(b.TempDir(), true)
	if err != nil {
		b.Fatal(err)
	}
	s.Begin(0, 1000, 0)
	data := make([]byte, 4780)
	for b.Loop() {
		s.Note(0, 7, data)
	}
}
