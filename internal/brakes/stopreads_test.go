package brakes

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Concurrent requests share reads of a slow bucket, and none gets the result of a
// read that started before the request.
func TestARequestNeverGetsTheResultOfAnEarlierRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newStopReads()
		var readings atomic.Int64
		stopped := atomic.Bool{}
		read := func(context.Context) (Stop, error) {
			readings.Add(1)
			s := Stop{Stopped: stopped.Load()}
			time.Sleep(100 * time.Millisecond) // the answer is in flight
			return s, nil
		}
		early := make(chan Stop, 1)
		go func() {
			s, _ := r.get(t.Context(), read)
			early <- s
		}()
		synctest.Wait()
		stopped.Store(true)
		late := make(chan Stop, 50)
		for range cap(late) {
			go func() {
				s, err := r.get(t.Context(), read)
				if err != nil {
					t.Error(err)
				}
				late <- s
			}()
		}
		if s := <-early; s.Stopped {
			t.Error("the request before the stop returned the stop, so the test proves nothing")
		}
		for range cap(late) {
			if s := <-late; !s.Stopped {
				t.Fatal("a request after the stop got no stop")
			}
		}
		if n := readings.Load(); n != 2 {
			t.Errorf("%d reads for 51 requests, want 2", n)
		}
	})
}

// If the bucket does not answer, all requests fail within their time limit.
func TestRequestsFailInTimeWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newStopReads()
		silent := func(ctx context.Context) (Stop, error) {
			<-ctx.Done()
			return Stop{}, context.Cause(ctx)
		}
		began := time.Now()
		ended := make(chan error, 20)
		for range cap(ended) {
			go func() {
				_, err := r.get(t.Context(), silent)
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
			t.Errorf("the last request failed after %s", took)
		}
		if _, err := r.get(t.Context(), func(context.Context) (Stop, error) { return Stop{}, nil }); err != nil {
			t.Errorf("after the outage: %v", err)
		}
	})
}
