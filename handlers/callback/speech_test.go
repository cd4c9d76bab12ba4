package callback_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/handlers/callback"
)

// speak sends speech events with these numbers.
func (w *world) speak(t *testing.T, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		kind := "participant-speech-start"
		if n%2 == 1 {
			kind = "participant-speech-stop"
		}
		form := join("StatusCallbackEvent", kind, "SequenceNumber", fmt.Sprint(n))
		wantStatus(t, w.post(t, callback.ConferencePath, form), http.StatusNoContent)
	}
}

// appended returns the dropped numbers in the journal, and the numbers and ids of the events in it.
func (w *world) appended(t *testing.T) (dropped [][2]int64, kept []int64, ids []string) {
	t.Helper()
	for _, entry := range w.journal.drain() {
		e, err := events.Parse(entry)
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != events.SpeechDropped {
			kept = append(kept, e.SequenceNumber)
			continue
		}
		ranges, err := events.DroppedNumbers(e)
		if err != nil {
			t.Fatal(err)
		}
		dropped, ids = append(dropped, ranges...), append(ids, e.ID)
	}
	return dropped, kept, ids
}

func drop(cfg *callback.Config) { cfg.Speech = callback.DropSpeech }

func TestSpeechIsKeptByDefault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.speak(t, 1, 3)
	if _, kept, _ := w.appended(t); len(kept) != 3 {
		t.Errorf("kept %v", kept)
	}
}

func TestASampleKeepsTheSameNumbersEachTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(cfg *callback.Config) { cfg.Speech = callback.SampleSpeech(3) })
	for range 2 {
		w.speak(t, 0, 7)
		if _, kept, _ := w.appended(t); !slices.Equal(kept, []int64{0, 3, 6}) {
			t.Errorf("kept %v", kept)
		}
	}
	if got := w.counted(t, "gavel_speech_dropped_total"); got != 10 {
		t.Errorf("counted %v dropped", got)
	}
}

func TestOnlySpeechIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, drop)
	wantStatus(t, w.post(t, callback.ConferencePath, join()), http.StatusNoContent)
	malformed := join("StatusCallbackEvent", "participant-speech-start", "Muted", "maybe")
	wantStatus(t, w.post(t, callback.ConferencePath, malformed), http.StatusForbidden)
	if _, kept, _ := w.appended(t); len(kept) != 1 || len(w.letters.drain()) != 1 {
		t.Errorf("kept %v", kept)
	}
}

func TestDroppedNumbersAreAppendedAtTheInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, drop)
		w.speak(t, 5, 7)
		w.speak(t, 1, 2)
		w.speak(t, 2, 2)
		if dropped, kept, _ := w.appended(t); dropped != nil || kept != nil {
			t.Fatalf("appended at once: %v, kept %v", dropped, kept)
		}
		wait(3 * time.Second)
		dropped, _, _ := w.appended(t)
		if diff := cmp.Diff([][2]int64{{1, 2}, {5, 7}}, dropped); diff != "" {
			t.Error(diff)
		}
	})
}

// wait advances virtual time and waits until every goroutine is blocked.
func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestAFullBatchOfDroppedNumbersIsAppendedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, drop)
		w.speak(t, 1, 100)
		synctest.Wait()
		if dropped, _, _ := w.appended(t); !cmp.Equal(dropped, [][2]int64{{1, 100}}) {
			t.Errorf("appended %v", dropped)
		}
	})
}

// Numbers whose append fails are appended later, under the same id.
func TestAFailedAppendOfNumbersIsRetried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, drop)
		var tried []string
		w.journal.failWith(func(_ context.Context, e events.Entry) error {
			tried = append(tried, e.Form)
			return events.ErrUnavailable
		})
		w.speak(t, 1, 3)
		wait(3 * time.Second)
		w.speak(t, 9, 9)
		w.journal.failWith(nil)
		wait(3 * time.Second)
		dropped, _, ids := w.appended(t)
		slices.SortFunc(dropped, func(a, b [2]int64) int { return int(a[0] - b[0]) })
		if diff := cmp.Diff([][2]int64{{1, 3}, {9, 9}}, dropped); diff != "" {
			t.Error(diff)
		}
		again := slices.ContainsFunc(ids, func(id string) bool { return strings.Contains(tried[0], id) })
		if len(tried) != 1 || !again {
			t.Errorf("tried %v, then appended %v", tried, ids)
		}
	})
}

func TestCloseAppendsTheRemainingNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, drop)
	w.speak(t, 1, 3)
	if err := w.door.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if dropped, _, _ := w.appended(t); !cmp.Equal(dropped, [][2]int64{{1, 3}}) {
		t.Errorf("appended %v", dropped)
	}
	w.speak(t, 4, 4)
	if _, kept, _ := w.appended(t); !slices.Equal(kept, []int64{4}) {
		t.Error("a speech event was dropped after Close")
	}
}

// While the journal is unavailable, pending numbers are bounded; beyond the
// bound the event itself is appended.
func TestPendingNumbersAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, drop)
		hold := make(chan struct{})
		w.journal.failWith(func(_ context.Context, e events.Entry) error {
			if e.Source == events.SourceGavel {
				<-hold
			}
			return nil
		})
		w.speak(t, 1, 100) // in the flush that hangs
		synctest.Wait()
		w.speak(t, 101, 100+events.MaxDroppedRanges+1)
		if _, kept, _ := w.appended(t); !slices.Equal(kept, []int64{100 + events.MaxDroppedRanges + 1}) {
			t.Errorf("kept %v", kept)
		}
		close(hold)
	})
}

// The number of conferences with pending numbers is bounded too.
func TestConferencesWithPendingNumbersAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, drop)
		hold := make(chan struct{})
		w.journal.failWith(func(_ context.Context, e events.Entry) error {
			if e.Source == events.SourceGavel {
				<-hold
			}
			return nil
		})
		speakIn := func(n int) {
			form := join("StatusCallbackEvent", "participant-speech-start", "ConferenceSid", fmt.Sprintf("CF%032x", n))
			wantStatus(t, w.post(t, callback.ConferencePath, form), http.StatusNoContent)
		}
		const room = 10_000
		for n := range room {
			speakIn(n)
		}
		wait(3 * time.Second)
		speakIn(room)
		if _, kept, _ := w.appended(t); len(kept) != 1 {
			t.Errorf("kept %v", kept)
		}
		close(hold)
	})
}

func TestCloseReturnsTheErrorOfAFailedAppend(t *testing.T) {
	t.Parallel()
	w := newWorld(t, drop)
	w.speak(t, 1, 3)
	w.journal.failWith(func(context.Context, events.Entry) error { return events.ErrUnavailable })
	if err := w.door.Close(t.Context()); err == nil {
		t.Error("no error")
	}
	w.journal.failWith(nil)
}
