package api

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// progressEvery is the shortest time between two lines of progress. A line for
// every entry would be too many: an entry takes only microseconds.
const progressEvery = 200 * time.Millisecond

// Progress is one line of a rebuild's answer. The last one is finished or has an error.
type Progress struct {
	Done     uint64 `json:"done" doc:"Stream sequences processed, over all lanes"`
	Total    uint64 `json:"total" doc:"Stream sequences to process, over the lanes that have started"`
	Finished bool   `json:"finished,omitempty"`
	Error    string `json:"error,omitempty"`
}

func (a *API) addRebuild(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "rebuild", Method: http.MethodPost, Path: Prefix + "rebuild",
		Summary: "Fill a new picture from the journal, beside the current one, and switch to it",
		Description: "Answers one JSON object a line (done, total; the last has finished or error). " +
			"It lasts as long as the request: if the client disconnects, the rebuild ends and the old picture stays.",
		Responses: streamed("application/x-ndjson"),
	}, a.rebuild)
}

// rebuild streams the progress of a rebuild. A process runs one rebuild at a time.
func (a *API) rebuild(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
	if err := admin(ctx); err != nil {
		return nil, err
	}
	if a.Rebuild == nil {
		return nil, huma.Error501NotImplemented("this process has no role project; call one that has it")
	}
	if !a.rebuilding.CompareAndSwap(false, true) {
		return nil, huma.Error409Conflict("a rebuild is under way")
	}
	answer, err := a.stream("application/x-ndjson", func(ctx context.Context, s *stream) {
		defer a.rebuilding.Store(false)
		a.runRebuild(ctx, s)
	})
	if err != nil {
		a.rebuilding.Store(false)
	}
	return answer, err
}

// runRebuild rebuilds and writes the progress to s. If the client disconnects, the
// rebuild is canceled, which is not logged.
func (a *API) runRebuild(ctx context.Context, s *stream) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := report{stream: s, gone: cancel, lanes: make(map[int]Progress)}
	err := a.Rebuild.Rebuild(ctx, r.progress)
	r.finish(err)
	if err != nil && ctx.Err() == nil {
		a.Log.Error("rebuild failed", "error", err)
	}
}

// report writes the progress of all lanes together. It is safe for concurrent use.
type report struct {
	stream *stream
	gone   func() // called if a write fails, because the client has disconnected

	mu    sync.Mutex
	lanes map[int]Progress
	last  time.Time // when progress was written
}

func (r *report) progress(lane int, done, total uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lanes[lane] = Progress{Done: done, Total: total}
	if time.Since(r.last) < progressEvery {
		return
	}
	r.last = time.Now()
	r.write(r.sum())
}

// finish writes the last line.
func (r *report) finish(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.sum()
	if last.Finished = err == nil; err != nil {
		last.Error = err.Error()
	}
	r.write(last)
}

// sum returns the progress of all lanes together.
func (r *report) sum() (all Progress) {
	for _, lane := range r.lanes {
		all.Done += lane.Done
		all.Total += lane.Total
	}
	return all
}

func (r *report) write(p Progress) {
	b, err := json.Marshal(p)
	if err == nil {
		err = r.stream.write(append(b, '\n'))
	}
	if err != nil {
		r.gone()
	}
}
