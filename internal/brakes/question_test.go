package brakes

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Many ask at once while the bucket is slow: they share readings, and none is
// told what was read before it asked.
func TestNobodyIsToldAnOldStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuestions()
		var readings atomic.Int64
		stopped := atomic.Bool{}
		read := func(context.Context) (Stop, error) {
			readings.Add(1)
			s := Stop{Stopped: stopped.Load()}
			time.Sleep(100 * time.Millisecond) // on its way back
			return s, nil
		}
		early := make(chan Stop, 1)
		go func() {
			s, _ := q.ask(t.Context(), read)
			early <- s
		}()
		synctest.Wait()
		stopped.Store(true)
		late := make(chan Stop, 50)
		for range cap(late) {
			go func() {
				s, err := q.ask(t.Context(), read)
				if err != nil {
					t.Error(err)
				}
				late <- s
			}()
		}
		if s := <-early; s.Stopped {
			t.Error("who asked before the stop was told of it; the test proves nothing")
		}
		for range cap(late) {
			if s := <-late; !s.Stopped {
				t.Fatal("who asked after the stop was told that there is none")
			}
		}
		if n := readings.Load(); n != 2 {
			t.Errorf("%d readings for 51 who asked", n)
		}
	})
}

// Where nobody answers, all who ask know that within the time that they have.
func TestNoAnswerIsToldInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuestions()
		silent := func(ctx context.Context) (Stop, error) {
			<-ctx.Done()
			return Stop{}, context.Cause(ctx)
		}
		began := time.Now()
		ended := make(chan error, 20)
		for range cap(ended) {
			go func() {
				_, err := q.ask(t.Context(), silent)
				ended <- err
			}()
			time.Sleep(10 * time.Millisecond)
		}
		for range cap(ended) {
			if err := <-ended; !errors.Is(err, ErrNoAnswer) {
				t.Errorf("got %v", err)
			}
		}
		if took := time.Since(began); took > stopTime+200*time.Millisecond {
			t.Errorf("the last heard after %s", took)
		}
		if _, err := q.ask(t.Context(), func(context.Context) (Stop, error) { return Stop{}, nil }); err != nil {
			t.Errorf("it is never asked again: %v", err)
		}
	})
}
