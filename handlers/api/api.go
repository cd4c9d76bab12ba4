package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"gavel/events"
	"gavel/internal/keys"
	"gavel/projections"
	"gavel/views"
)

// Prefix is the path under which the API is mounted.
const Prefix = "/v1/"

// Authenticator says who a request comes from.
type Authenticator interface {
	Authenticate(ctx context.Context, user, password string) (keys.Identity, bool)
}

// Keys are the API keys.
type Keys interface {
	Create(ctx context.Context, name string, role keys.Role, accounts []string) (keys.Key, string, error)
	List() []keys.Key
	Revoke(ctx context.Context, sid string) error
}

// Tail reads news from behind a stream sequence (0: only new ones) until ctx
// ends; an empty account or conference does not filter. Calls of fn do not
// overlap.
type Tail interface {
	Tail(ctx context.Context, after uint64, account, conference string, fn func(events.StoredNews) error) error
}

// Rebuilder builds the picture anew from the journal and switches over.
// Progress counts stream sequences of each lane; it may be called from several
// goroutines.
type Rebuilder interface {
	Rebuild(ctx context.Context, progress func(lane int, done, total uint64)) error
}

// Version says what is running.
type Version struct {
	Gavel string `json:"gavel" doc:"Gavel's version"`
	Go    string `json:"go" doc:"The Go version it was built with"`
	NATS  string `json:"nats" doc:"The version of the NATS server"`
}

// Config is what the API needs. Rebuild is nil in a process that does not
// project, Redrive in one that does not act. Rules, Brakes, Switch and Decisions
// are nil, all four, in one that knows nothing of rules.
type Config struct {
	Reader      projections.Reader
	Auth        Authenticator
	Keys        Keys
	Accounts    Accounts
	Timeline    views.Timeline
	Tail        Tail
	Rebuild     Rebuilder
	Journal     Journal
	Rules       RuleBook
	Brakes      Brakes
	Switch      Switch
	Lanes       Lanes
	Decisions   views.Decisions
	DeadLetters DeadLetters
	Redrive     Redriver
	Version     Version
	Now         func() time.Time
	Log         *slog.Logger
	Metrics     *Metrics
}

// API answers everything under Prefix.
type API struct {
	Config
	views  *views.Source
	mux    *http.ServeMux
	origin *http.CrossOriginProtection

	// life ends all streams: a server that shuts down waits for its requests,
	// and these would never end.
	life       context.Context
	end        context.CancelFunc
	streams    chan struct{}
	rebuilding atomic.Bool
}

// New returns the API. Stop ends its streams.
func New(c Config) *API {
	a := &API{
		Config:  c,
		views:   &views.Source{Reader: c.Reader, Decisions: c.Decisions, Timeline: c.Timeline, Now: c.Now},
		mux:     http.NewServeMux(),
		origin:  http.NewCrossOriginProtection(),
		streams: make(chan struct{}, maxStreams),
	}
	a.life, a.end = context.WithCancel(context.Background())
	h := humago.New(a.mux, humaConfig(c.Version.Gavel))
	h.UseMiddleware(a.count, a.authenticate(h))
	get(h, "list-conferences", "conferences", "Conferences of all accounts that the key may see, newest first", a.search)
	get(h, "get-conference", "conferences/{conference}", "Everything about one conference", a.get)
	get(h, "get-timeline", "conferences/{conference}/timeline", "The events of one conference, by SequenceNumber", a.timeline)
	a.addTail(h)
	a.addRules(h)
	a.addDecisions(h)
	get(h, "list-armed", "armed", "The deadlines of rules that run down now, earliest first", a.listArmed)
	a.addExempt(h)
	a.addStop(h)
	a.addDeadLetters(h)
	a.addRebuild(h)
	a.addKeys(h)
	get(h, "get-version", "version", "What is running", a.version)
	a.serveDescription(h)
	return a
}

// Stop ends the streams that are open and every one that comes after; other
// requests go on being answered.
func (a *API) Stop() { a.end() }

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	// A browser sends what it knows of Basic credentials along with whatever
	// another site's page asks of it.
	if err := a.origin.Check(r); err != nil {
		(&problemWriter{w}).WriteHeader(http.StatusForbidden)
		return
	}
	if _, pattern := a.mux.Handler(r); pattern == "" {
		w = &problemWriter{w}
	}
	a.mux.ServeHTTP(w, r)
}

// humaConfig leaves out what huma adds by itself: a documentation page that
// loads scripts from elsewhere, and $schema links in every answer.
func humaConfig(version string) huma.Config {
	c := huma.DefaultConfig("Gavel", version)
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.CreateHooks = nil
	c.RejectUnknownQueryParameters = true
	c.Info.Description = "Conferences as Gavel knows them from Twilio's callbacks."
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"basic":  {Type: "http", Scheme: "basic", Description: "API key SID and secret, or AccountSid and auth token"},
		"bearer": {Type: "http", Scheme: "bearer", Description: "API key as SID:secret"},
	}
	c.Security = []map[string][]string{{"basic": {}}, {"bearer": {}}}
	return c
}

func (a *API) version(context.Context, *struct{}) (*answer[Version], error) {
	return &answer[Version]{a.Version}, nil
}

// get registers an operation that only reads.
func get[I, O any](h huma.API, id, path, summary string, serve func(context.Context, *I) (*O, error)) {
	huma.Register(h, huma.Operation{OperationID: id, Method: http.MethodGet, Path: Prefix + path, Summary: summary}, serve)
}

// answer is a body that goes out with 200.
type answer[T any] struct{ Body T }

// serveDescription serves the OpenAPI document, encoded once: huma's own
// handler fills its copy in on the first request without a lock.
func (a *API) serveDescription(h huma.API) {
	document, err := json.Marshal(h.OpenAPI())
	if err != nil {
		panic(fmt.Sprintf("api: the OpenAPI document cannot be encoded: %v", err))
	}
	a.mux.HandleFunc("GET "+Prefix+"openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(document) // the client is gone, and nobody is left to tell
	})
}
