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

// readTime bounds a request that only reads. A person waits for the answer, and a NATS server or a
// Redis that accepts connections and does not answer would never end it.
const readTime = 4 * time.Second

// Authenticator finds the identity of a request.
type Authenticator interface {
	Authenticate(ctx context.Context, user, password string) (keys.Identity, bool)
}

// Keys are the API keys.
type Keys interface {
	Create(ctx context.Context, name string, role keys.Role, accounts []string) (keys.Key, string, error)
	List() []keys.Key
	Revoke(ctx context.Context, sid string) error
}

// Tail reads news behind a stream sequence (0: only new ones) until ctx ends; an
// empty account or conference does not filter. Calls of fn do not overlap.
type Tail interface {
	Tail(ctx context.Context, after uint64, account, conference string, fn func(events.StoredNews) error) error
}

// Rebuilder fills a new picture from the journal and switches to it. progress counts
// stream sequences of each lane; several goroutines may call it.
type Rebuilder interface {
	Rebuild(ctx context.Context, progress func(lane int, done, total uint64)) error
}

// Version is the versions of a process.
type Version struct {
	Gavel string `json:"gavel" doc:"Gavel's version"`
	Go    string `json:"go" doc:"The Go version it was built with"`
	NATS  string `json:"nats" doc:"The version of the NATS server"`
}

// Config is what the API needs. Rebuild is nil in a process that does not project, Redrive in one
// that does not act. Rules, Brakes, Switch and Decisions are nil, all four, in one without rules.
type Config struct {
	Reader      projections.Reader
	Auth        Authenticator
	Keys        Keys
	Accounts    Accounts
	Timeline    views.Timeline
	Tail        Tail
	Rebuild     Rebuilder
	Ledger      Ledger
	Journal     Journal
	Rules       RuleBook
	Brakes      Brakes
	Switch      Switch
	Lanes       Lanes
	LaneCount   int // of the journal
	Decisions   views.Decisions
	Backlog     Backlog // nil: the status of rules has no backlog
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

	// life ends all streams: a server that shuts down waits for its requests, and
	// streams would never end.
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
	get(a, h, "list-conferences", "conferences", "Conferences of all accounts that the key may see, newest first", a.search)
	get(a, h, "get-conference", "conferences/{conference}", "Everything about one conference", a.get)
	get(a, h, "get-timeline", "conferences/{conference}/timeline", "The events of one conference, by SequenceNumber", a.timeline)
	a.addTail(h)
	a.addRules(h)
	a.addDecisions(h)
	get(a, h, "list-armed", "armed", "The pending deadlines of rules, earliest first", a.listArmed)
	a.addExempt(h)
	a.addStop(h)
	a.addDeadLetters(h)
	a.addRebuild(h)
	a.addJournal(h)
	a.addKeys(h)
	get(a, h, "get-version", "version", "Versions of the process that answers", func(context.Context, *struct{}) (Version, error) { return c.Version, nil })
	a.serveDescription(h)
	return a
}

// Stop ends all open and later streams. The API still answers other requests.
func (a *API) Stop() { a.end() }

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	// A browser adds stored Basic credentials even to requests that another site's page makes.
	if err := a.origin.Check(r); err != nil {
		(&problemWriter{w}).WriteHeader(http.StatusForbidden)
		return
	}
	if _, pattern := a.mux.Handler(r); pattern == "" {
		w = &problemWriter{w}
	}
	a.mux.ServeHTTP(w, r)
}

// humaConfig disables what huma adds by default: a documentation page that loads
// scripts from elsewhere, and $schema links in every answer.
func humaConfig(version string) huma.Config {
	c := huma.DefaultConfig("Gavel", version)
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.CreateHooks = nil
	c.RejectUnknownQueryParameters = true
	c.Info.Description = "Conferences, as Gavel derives them from Twilio's callbacks."
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"basic":  {Type: "http", Scheme: "basic", Description: "API key SID and secret, or AccountSid and auth token"},
		"bearer": {Type: "http", Scheme: "bearer", Description: "API key as SID:secret"},
	}
	c.Security = []map[string][]string{{"basic": {}}, {"bearer": {}}}
	return c
}

// get registers an operation that only reads.
func get[I, O any](a *API, h huma.API, id, path, summary string, serve func(context.Context, *I) (O, error)) {
	register(a, h, huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Summary: summary}, serve)
}

// register registers an operation whose path is below Prefix. serve returns the body of the answer.
func register[I, O any](a *API, h huma.API, op huma.Operation, serve func(context.Context, *I) (O, error)) {
	type answer struct{ Body O }
	op.Path = Prefix + op.Path
	huma.Register(h, op, func(ctx context.Context, in *I) (*answer, error) {
		if op.Method == http.MethodGet {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, readTime)
			defer cancel()
		}
		body, err := serve(ctx, in)
		if err != nil {
			return nil, a.problem(err)
		}
		return &answer{body}, nil
	})
}

// serveDescription serves the OpenAPI document, encoded once: huma's own handler
// fills its copy on the first request without a lock.
func (a *API) serveDescription(h huma.API) {
	document, err := json.Marshal(h.OpenAPI())
	if err != nil {
		panic(fmt.Sprintf("api: the OpenAPI document cannot be encoded: %v", err))
	}
	a.mux.HandleFunc("GET "+Prefix+"openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(document) // an error means that the client is gone
	})
}
