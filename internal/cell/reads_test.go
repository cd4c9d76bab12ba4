package cell_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gavel/internal/cell"
)

// readTime is how long a request waits.
const readTime = 500 * time.Millisecond

// Concurrent requests share reads of a slow bucket, and none gets the result of a
// read that started before the request.
func TestARequestNeverGetsTheResultOfAnEarlierRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := cell.NewReads[bool](readTime, errLate)
		var readings atomic.Int64
		stopped := atomic.Bool{}
		read := func(context.Context) (bool, error) {
			readings.Add(1)
			s := stopped.Load()
			time.Sleep(100 * time.Millisecond) // the answer is in flight
			return s, nil
		}
		early := make(chan bool, 1)
		go func() {
			s, _ := r.Get(t.Context(), read)
			early <- s
		}()
		synctest.Wait()
		stopped.Store(true)
		late := make(chan bool, 50)
		for range cap(late) {
			go func() {
				s, err := r.Get(t.Context(), read)
				if err != nil {
					t.Error(err)
				}
				late <- s
			}()
		}
		if s := <-early; s {
			t.Error("the request before the change returned the changed value, so the test proves nothing")
		}
		for range cap(late) {
			if s := <-late; !s {
				t.Fatal("a request after the change got the value before it")
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
		r := cell.NewReads[bool](readTime, errLate)
		silent := func(ctx context.Context) (bool, error) {
			<-ctx.Done()
			return false, context.Cause(ctx)
		}
		began := time.Now()
		ended := make(chan error, 20)
		for range cap(ended) {
			go func() {
				_, err := r.Get(t.Context(), silent)
				ended <- err
			}()
			time.Sleep(10 * time.Millisecond)
		}
		for range cap(ended) {
			if err := <-ended; !errors.Is(err, errLate) {
				t.Errorf("got %v", err)
			}
		}
		if took := time.Since(began); took > readTime+200*time.Millisecond {
			t.Errorf("the last request failed after %s", took)
		}
		if _, err := r.Get(t.Context(), func(context.Context) (bool, error) { return false, nil }); err != nil {
			t.Errorf("after the outage: %v", err)
		}
	})
}
