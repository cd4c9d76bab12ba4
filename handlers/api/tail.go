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

// heartbeat is how often a silent stream says that it is there: proxies give up
// after 30 to 60 s.
const heartbeat = 15 * time.Second

// tailInput says what to follow.
type tailInput struct {
	Account    string `query:"account" doc:"One AccountSid; without it all that the key may see"`
	Conference string `query:"conference" maxLength:"1024" doc:"One conference, by SID or by friendly name"`
	After      uint64 `query:"after" doc:"Resume behind this id; without it only what is new"`
	// A browser's EventSource sends it by itself when it connects again.
	LastEventID string `header:"Last-Event-ID" doc:"The same as after, and stronger"`
}

func (a *API) addTail(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "tail", Method: http.MethodGet, Path: Prefix + "tail",
		Summary:     "Events as they come, as server-sent events",
		Description: "Each id is a sequence of GAVEL_EVENTS, each data a CloudEvent. A comment comes at least every 15 s.",
		Responses:   streamed("text/event-stream"),
	}, a.tail)
}

// streamed describes a stream to OpenAPI, which cannot say more about one.
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

func (in *tailInput) after() (uint64, error) {
	if in.LastEventID == "" {
		return in.After, nil
	}
	after, err := strconv.ParseUint(in.LastEventID, 10, 64)
	if err != nil {
		return 0, huma.Error400BadRequest("Last-Event-ID is none of ours")
	}
	return after, nil
}

// tailed narrows what is followed as far as one account and one conference can
// say it. The picture is asked only for a name: a stream of everything works
// while it is being filled.
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

// follow hands on what the tail gives, with a heartbeat in between. It returns
// when the tail has: a client that is still there connects again, with the id
// it saw last.
func (a *API) follow(ctx context.Context, s *stream, who keys.Identity, after uint64, key events.Key) {
	ctx, cancel := context.WithCancel(ctx)
	told := make(chan events.StoredNews)
	var err error
	go func() {
		defer close(told)
		err = a.Tail.Tail(ctx, after, key.AccountSid, key.ConferenceSid, forward(ctx, who, told))
	}()
	s.relay(told)
	gone := ctx.Err() != nil
	cancel()
	for range told { // until the tail has returned
	}
	if err != nil && !gone && ctx.Err() == nil {
		a.Log.Warn("tail ended", "error", err)
	}
}

// forward passes on what the key may see.
func forward(ctx context.Context, who keys.Identity, to chan<- events.StoredNews) func(events.StoredNews) error {
	return func(told events.StoredNews) error {
		if !who.May(told.Key.AccountSid) {
			return nil
		}
		select {
		case to <- told:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// relay writes what comes until there is no more or the client is gone. The
// first comment tells the client that it is connected.
func (s *stream) relay(told <-chan events.StoredNews) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for message := []byte(": gavel\n\n"); ; {
		if s.write(message) != nil {
			return
		}
		select {
		case t, ok := <-told:
			if !ok {
				return
			}
			message = appendMessage(message[:0], t)
		case <-beat.C:
			message = append(message[:0], ":\n\n"...)
		}
	}
}

// appendMessage appends one server-sent event. A CloudEvent holds no line
// breaks, for JSON escapes them.
func appendMessage(b []byte, told events.StoredNews) []byte {
	b = append(b, "id: "...)
	b = strconv.AppendUint(b, told.Sequence, 10)
	b = append(b, "\ndata: "...)
	b = append(b, told.Data...)
	return append(b, "\n\n"...)
}
