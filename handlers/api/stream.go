package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const (
	// maxStreams bounds the streams open at once: each holds a connection, two
	// goroutines and a consumer at NATS.
	maxStreams = 256
	// writeWait is how long one write to a stream may take. A client that reads
	// nothing for that long is considered gone.
	writeWait = 30 * time.Second
)

// stream is an answer that lasts longer than the server's write time-out, which here
// counts for each write separately.
type stream struct {
	w   http.ResponseWriter
	out *http.ResponseController
}

// stream returns an answer of that content type. serve writes until ctx ends, which
// it does with the request or at Stop.
func (a *API) stream(contentType string, serve func(context.Context, *stream)) (*huma.StreamResponse, error) {
	select {
	case a.streams <- struct{}{}:
	default:
		return nil, unavailable("too many streams are open")
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer func() { <-a.streams }()
		a.Metrics.streams.Inc()
		defer a.Metrics.streams.Dec()

		ctx, cancel := context.WithCancel(hctx.Context())
		defer cancel()
		defer context.AfterFunc(a.life, cancel)()

		_, w := humago.Unwrap(hctx)
		w.Header().Set("Content-Type", contentType)
		serve(ctx, &stream{w: w, out: http.NewResponseController(w)})
	}}, nil
}

// write sends b at once.
func (s *stream) write(b []byte) error {
	if err := s.out.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return err
	}
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	return s.out.Flush()
}
