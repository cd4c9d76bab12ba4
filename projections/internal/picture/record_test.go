// These tests are inside the package: what is stored, and in what bytes, is internal to it.
package picture

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/projections"
)

// filler puts a value into every field, so that a field that the codec omits comes back empty.
type filler struct{ next int64 }

func (f *filler) fill(v reflect.Value) {
	f.next++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.fill(v.Index(0))
		f.fill(v.Index(1))
	case reflect.Array:
		for i := range v.Len() {
			f.fill(v.Index(i))
		}
	case reflect.String:
		v.SetString("text \x00\xff ☎ " + strconv.FormatInt(f.next, 10))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint16, reflect.Uint64:
		v.SetUint(uint64(f.next))
	case reflect.Int, reflect.Int64:
		v.SetInt(f.next)
	default:
		panic("the filler does not support " + v.Kind().String())
	}
}

// full returns a record with a value in every field.
func full() projections.Stored {
	s := projections.Stored{Conference: new(projections.Conference)}
	f := &filler{}
	f.fill(reflect.ValueOf(&s).Elem())
	sortParts(s.Conference)
	return s
}

func hash(list []string) map[string]string {
	out := map[string]string{}
	for pair := range slices.Chunk(list, 2) {
		out[pair[0]] = pair[1]
	}
	return out
}

func TestEveryFieldOfARecordIsStored(t *testing.T) {
	t.Parallel()
	want := full()
	got, err := decode(want.Conference.Key(), hash(fields(nil, want.Conference, want.Book, want.Rules)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a record came back different (-want +got):\n%s", diff)
	}
}

func TestOnlyWhatChangedIsWritten(t *testing.T) {
	t.Parallel()
	before := full().Conference
	added, replaced := &projections.Participant{CallSid: "CA new"}, *before.Participants[0]
	after := *before
	after.Participants = []*projections.Participant{added, &replaced, before.Participants[1]}
	after.Recordings = slices.Concat(before.Recordings, []*projections.Recording{{URL: "https://a.example"}})
	answered := *before.Actions[1]
	answered.Outcome = nil
	after.Actions = []*projections.ActionRecord{before.Actions[0], &answered}

	var got []string
	for field := range hash(fields(before, &after, projections.Book{Version: 2}, nil)) {
		got = append(got, field)
	}
	slices.Sort(got)
	want := []string{CoreField, "p:CA new", "p:" + replaced.CallSid, "r:https://a.example", "a:" + answered.ID}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("written fields (-want +got):\n%s", diff)
	}
}

func TestNoNameIsPartOfAKey(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", projections.MaxText)
	seen := map[string]bool{}
	for _, name := range []string{"", "Support", long, long[1:], nameIndex(long)} {
		index := nameIndex(name)
		if len(index) != len("name:")+32 || name != "" && strings.Contains(index, name) {
			t.Errorf("the name %.20q makes the index %q", name, index)
		}
		if seen[index] {
			t.Errorf("two names share the index %.20q", index)
		}
		seen[index] = true
	}
}

func TestNoVersionIsTheBeginningOfAnother(t *testing.T) {
	t.Parallel()
	for _, v := range []uint64{1, 12, 127, 128, 129, 1 << 14, 1<<14 + 1, 1 << 40} {
		core := encodeCore(&projections.Conference{}, projections.Book{Version: v})
		for _, other := range []uint64{1, 12, 127, 128, 129, 1 << 14, 1<<14 + 1, 1 << 40} {
			want := encodeVersion(other)
			if begins := len(core) >= len(want) && core[:len(want)] == want; begins != (v == other) {
				t.Errorf("a core of version %d begins with version %d: %v", v, other, begins)
			}
		}
		if decodeVersion(core) != v {
			t.Errorf("version %d is read as %d", v, decodeVersion(core))
		}
	}
}

// FuzzDecode reads damaged records: they may be refused, but what is accepted
// must stay the same when it is stored again.
func FuzzDecode(f *testing.F) {
	record := full()
	seed := hash(fields(nil, record.Conference, record.Book, nil))
	f.Add(seed[CoreField], seed["p:"+record.Conference.Participants[0].CallSid], seed["r:"+record.Conference.Recordings[0].Sid],
		seed["a:"+record.Conference.Actions[0].ID])
	f.Add("", "", "", "")
	f.Add("\x01\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x00", "\x80", "\x01")
	f.Fuzz(func(t *testing.T, core, participant, recording, action string) {
		key := events.Key{AccountSid: "AC", ConferenceSid: "CF"}
		first, err := decode(key, map[string]string{CoreField: core, "p:CA": participant, "r:RE": recording, "a:1": action})
		if err != nil {
			return
		}
		again, err := decode(key, hash(fields(nil, first.Conference, first.Book, first.Rules)))
		if err != nil {
			t.Fatalf("an accepted record is refused when it is stored again: %v", err)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Errorf("stored again it is different (-first +again):\n%s", diff)
		}
	})
}

// A record that exceeded a bound loses parts, and the store must lose them too.
func TestPartsThatWereRemovedAreNotReadAgain(t *testing.T) {
	t.Parallel()
	before := full().Conference
	after := *before
	after.Truncated = true
	after.Participants, after.Actions = before.Participants[1:], before.Actions[:1]
	stored := hash(fields(nil, before, projections.Book{Version: 1}, nil))
	for field, value := range hash(fields(before, &after, projections.Book{Version: 2}, nil)) {
		stored[field] = value
	}
	got, err := decode(before.Key(), stored)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&after, got.Conference); diff != "" {
		t.Errorf("the record (-want +got):\n%s", diff)
	}
}
