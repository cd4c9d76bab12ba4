package chain_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/internal/chain"
)

var noon = time.Unix(1_800_000_000, 0)

// group is what the journal of these tests holds at a sequence.
func group(sequence uint64) []byte { return fmt.Appendf(nil, "group %d", sequence) }

// journal is a journal of n groups, every second of the stream.
func journal(n int) (chain.Record, chain.Journal) {
	state := chain.Journal{Created: noon.UnixNano(), First: 1, Last: uint64(2 * n)}
	r := chain.Begin(state, 0, 0)
	var h chain.Hasher
	for i := 1; i <= n; i++ {
		s := uint64(2 * i)
		r.Add(h.Next(r.Head, s, group(s), noon.Add(time.Duration(i))))
	}
	return r, state
}

// read walks groups; without returns whether a group is missing, changed whether it differs.
func read(w *chain.Walk, last uint64, without, changed func(uint64) bool) *chain.Fault {
	for s := w.From() + w.From()%2; s <= last; s += 2 {
		data := group(s)
		if without(s) {
			continue
		}
		if changed(s) {
			data[0] ^= 1
		}
		if f := w.Add(s, data, noon); f != nil {
			return f
		}
	}
	return w.End(last)
}

func none(uint64) bool { return false }

func TestTheSameGroupsLeadToTheSameLinks(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 511, 512, 513, 5000, 200_000} {
		r, _ := journal(n)
		back, err := chain.Parse(r.Brief())
		if err != nil {
			t.Fatal(err)
		}
		for name, w := range map[string]*chain.Walk{
			"all": chain.WalkAll(r), "tail": chain.WalkTail(r), "tail of Redis": chain.WalkTail(back),
			"sample": chain.WalkSample(r, func(n int) int { return n - 1 }),
		} {
			if f := read(w, uint64(2*n), none, none); f != nil {
				t.Errorf("%s of %d groups: %v", name, n, f)
			}
		}
		if len(r.Marks) > 128 || len(back.Marks) > 2 || len(r.Brief()) > 600 {
			t.Errorf("%d groups: %d marks, %d in Redis: %s", n, len(r.Marks), len(back.Marks), r.Brief())
		}
	}
}

func TestEveryChangedAndEveryMissingGroupIsFoundWithItsExtent(t *testing.T) {
	t.Parallel()
	const n = 2000
	r, _ := journal(n)
	for s := uint64(2); s <= 2*n; s += 2 {
		is := func(at uint64) bool { return at == s }
		for name, f := range map[string]*chain.Fault{
			"changed": read(chain.WalkAll(r), 2*n, none, is), "missing": read(chain.WalkAll(r), 2*n, is, none),
		} {
			if f == nil || f.Kind != chain.Damaged || f.From > s || f.To < s || f.To-f.From > 2*512 {
				t.Fatalf("%s %d: %+v", name, s, f)
			}
		}
	}
}

// The tail is enough to find a journal that was rolled back and has grown again.
func TestAJournalThatGrewAgainIsFoundByItsTail(t *testing.T) {
	t.Parallel()
	const n = 3000
	r, _ := journal(n)
	for back := 1; back < n; back += 37 {
		f := read(chain.WalkTail(r), 2*n, none, func(s uint64) bool { return s > uint64(2*(n-back)) })
		if f == nil {
			t.Errorf("%d groups are others, and their tail is right", back)
		}
	}
}

func TestNumbersOfTheStreamAreCompared(t *testing.T) {
	t.Parallel()
	r, state := journal(100)
	for name, c := range map[string]struct {
		change func(*chain.Journal)
		kind   chain.Kind
		from   uint64
		to     uint64
	}{
		"another stream": {func(j *chain.Journal) { j.Created++ }, chain.Behind, 1, 200},
		"ends before":    {func(j *chain.Journal) { j.Last = 150 }, chain.Behind, 151, 200},
		"purged front":   {func(j *chain.Journal) { j.First = 50 }, chain.Shortened, 1, 49},
		"purged middle":  {func(j *chain.Journal) { j.Deleted = 3 }, chain.Shortened, 1, 200},
	} {
		changed := state
		c.change(&changed)
		if f := r.Compare(changed); f == nil || f.Kind != c.kind || f.From != c.from || f.To != c.to {
			t.Errorf("%s: %+v", name, f)
		}
	}
	state.Last = 10_000
	if f := r.Compare(state); f != nil {
		t.Errorf("a journal that grew: %v", f)
	}
	var nothing chain.Record
	if f := nothing.Compare(chain.Journal{}); f != nil {
		t.Errorf("the data of an older Gavel: %v", f)
	}
}

func TestTheFileKeepsRecordsAndNoticesItsOwnDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := chain.OpenFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := journal(5000)
	f.Set(3, r)
	if err := f.Write(); err != nil {
		t.Fatal(err)
	}
	again, err := chain.OpenFile(dir)
	if diff := cmp.Diff(r, again.Get(3)); diff != "" || err != nil {
		t.Errorf("%v, -written +read:\n%s", err, diff)
	}
	path := filepath.Join(dir, chain.FileName)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, len(raw) / 2, len(raw) - 2} {
		damaged := append([]byte{}, raw...)
		damaged[at] ^= 1
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		broken, err := chain.OpenFile(dir)
		if got := broken.Get(3); err == nil || !got.Empty() {
			t.Errorf("a flipped bit at %d: %v, %v", at, err, got)
		}
	}
}

// A process that is killed has written its file up to a second before.
func TestTheFileHasWhatWasSetRightBeforeAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := chain.OpenFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	written, _ := journal(5000)
	f.Set(0, written)
	f.Set(3, written)
	if err := f.Write(); err != nil {
		t.Fatal(err)
	}
	killed, _ := journal(5100)
	f.Set(3, killed)
	want := func(what string, want chain.Record) {
		t.Helper()
		again, err := chain.OpenFile(dir)
		if got := again.Get(3); got.Head != want.Head || err != nil {
			t.Errorf("%s: the head is %+v, %v; want %+v", what, got.Head, err, want.Head)
		}
		if got := again.Get(0); got.Head != written.Head {
			t.Errorf("%s: the head of another lane is %+v", what, got.Head)
		}
	}
	want("right after Set", killed)
	again, err := chain.OpenFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, state := journal(5050)
	if r := again.Get(3); r.Compare(state) == nil {
		t.Error("a journal that lost the last groups agrees")
	}
	other := killed
	other.Accepted, other.Head.Sequence = 1, other.Head.Sequence+100
	f.Set(3, other)
	want("a head of a record that is not in the file", written)
	f.Set(3, killed)
	path := filepath.Join(dir, chain.HeadsFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-12] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	want("a damaged head", written)
}

// BenchmarkSet is the cost of the second place for one batch.
func BenchmarkSet(b *testing.B) {
	f, err := chain.OpenFile(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	r, _ := journal(5000)
	b.ReportAllocs()
	for range b.N {
		f.Set(0, r)
	}
}

// BenchmarkNext is the cost of the chain for one group of ten callbacks.
func BenchmarkNext(b *testing.B) {
	data := make([]byte, 4780)
	r, _ := journal(1)
	var h chain.Hasher
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for i := range b.N {
		r.Add(h.Next(r.Head, uint64(3+i), data, noon))
	}
}

// BenchmarkBrief is its cost for one batch.
func BenchmarkBrief(b *testing.B) {
	r, _ := journal(5000)
	b.ReportAllocs()
	for range b.N {
		_ = r.Brief()
	}
}
