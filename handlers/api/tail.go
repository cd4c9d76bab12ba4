package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gavel/events"
	"gavel/internal/keys"
)

// heartbeat is how often a silent stream sends a comment: proxies close idle
// connections after 30 to 60 s.
const heartbeat = 15 * time.Second

// tailInput selects what to follow.
type tailInput struct {
	Account    string `query:"account" doc:"One AccountSid; default: all that the key can access"`
	Conference string `query:"conference" maxLength:"1024" doc:"One conference, by SID or by friendly name"`
	After      uint64 `query:"after" doc:"Resume behind this id; default: only new events"`
	// LastEventID is sent by a browser's EventSource when it reconnects.
	LastEventID string `header:"Last-Event-ID" doc:"The same as after, which it overrides"`
}

func (a *API) addTail(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "tail", Method: http.MethodGet, Path: Prefix + "tail",
		Summary:     "Events as they arrive, as server-sent events",
		Description: "Each id is a sequence of GAVEL_EVENTS, each data a CloudEvent. A comment comes at least every 15 s.",
		Responses:   streamed("text/event-stream"),
	}, a.tail)
}

// streamed describes a stream to OpenAPI, which has no schema for one.
func streamed(contentType string) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {
		Description: "The stream",
		Content:     map[string]*huma.MediaType{contentType: {Schema: &huma.Schema{Type: huma.TypeString}}},
	}}
}

func (a *API) tail(ctx context.Context, in *tailInput) (*huma.StreamResponse, error) {
	after, err := in.after()
	if err != nil {
		return nil, a.problem(err)
	}
	key, err := a.tailed(ctx, in)
	if err != nil {
		return nil, a.problem(err)
	}
	who := identity(ctx)
	return a.stream("text/event-stream", func(ctx context.Context, s *stream) {
		a.follow(ctx, s, who, after, key)
	})
}

// after returns the id to resume after: Last-Event-ID, or the parameter without one.
func (in *tailInput) after() (uint64, error) {
	if in.LastEventID == "" {
		return in.After, nil
	}
	after, err := strconv.ParseUint(in.LastEventID, 10, 64)
	if err != nil {
		return 0, huma.Error400BadRequest("Last-Event-ID is not an id of this stream")
	}
	return after, nil
}

// tailed returns the account and the conference to follow; an empty one is any. It
// reads the picture only to resolve a name, so that a stream of everything works
// while the picture is being filled.
func (a *API) tailed(ctx context.Context, in *tailInput) (key events.Key, err error) {
	if who := identity(ctx); in.Account != "" {
		accounts, err := a.accounts(ctx, in.Account)
		if err != nil {
			return key, err
		}
		key.AccountSid = accounts[0]
	} else if len(who.Accounts) == 1 {
		key.AccountSid = who.Accounts[0]
	}
	switch {
	case in.Conference == "":
	case events.IsSid("CF", in.Conference):
		key.ConferenceSid = events.CanonicalSid(in.Conference)
	default:
		c, err := a.find(ctx, &conferenceInput{Conference: in.Conference, Account: in.Account})
		if err != nil {
			return key, err
		}
		key = c.Key()
	}
	return key, nil
}

// follow sends the news of the tail, with heartbeats in between. It returns when the
// tail ends: a client that is still there reconnects, with the id of its last event.
func (a *API) follow(ctx context.Context, s *stream, who keys.Identity, after uint64, key events.Key) {
	ctx, cancel := context.WithCancel(ctx)
	news := make(chan events.StoredNews)
	var err error
	go func() {
		defer close(news)
		err = a.Tail.Tail(ctx, after, key.AccountSid, key.ConferenceSid, forward(ctx, who, news))
	}()
	s.relay(news)
	gone := ctx.Err() != nil
	cancel()
	for range news { // until the tail has returned
	}
	if err != nil && !gone && ctx.Err() == nil {
		a.Log.Warn("tail ended", "error", err)
	}
}

// forward sends on the news that the key can access.
func forward(ctx context.Context, who keys.Identity, to chan<- events.StoredNews) func(events.StoredNews) error {
	return func(news events.StoredNews) error {
		if !who.May(news.Key.AccountSid) {
			return nil
		}
		select {
		case to <- news:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// relay writes news until the channel is closed or the client is gone. The first
// comment shows the client that it is connected.
func (s *stream) relay(news <-chan events.StoredNews) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for message := []byte(": gavel\n\n"); ; {
		if s.write(message) != nil {
			return
		}
		select {
		case t, ok := <-news:
			if !ok {
				return
			}
			message = appendMessage(message[:0], t)
		case <-beat.C:
			message = append(message[:0], ":\n\n"...)
		}
	}
}

// appendMessage appends one server-sent event. A CloudEvent has no line breaks,
// because JSON escapes them.
func appendMessage(b []byte, news events.StoredNews) []byte {
	b = append(b, "id: "...)
	b = strconv.AppendUint(b, news.Sequence, 10)
	b = append(b, "\ndata: "...)
	b = append(b, news.Data...)
	return append(b, "\n\n"...)
}
