package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"gavel/app"
	"gavel/internal/keys"
)

// clientFlags are the settings of every command that sends requests to a running Gavel.
type clientFlags struct {
	Server  string `default:"http://127.0.0.1:8080" env:"GAVEL_SERVER" placeholder:"URL" help:"The running Gavel (default: where these settings make it listen, ${default})."`
	APIKey  string `name:"api-key" env:"GAVEL_API_KEY" placeholder:"SID:SECRET" help:"API key (default: the first key, in the data directory)."`
	DataDir string `default:"./gavel-data" env:"GAVEL_DATA_DIR" placeholder:"DIR" help:"The data directory with the first key (default ${default})."`
	outputFlag
}

// outputFlag selects how a command prints its answer.
type outputFlag struct {
	Output string `default:"text" enum:"text,json" placeholder:"text|json" help:"Text for people, JSON for scripts (default ${default})."`
}

func (f outputFlag) json() bool { return f.Output == "json" }

// print writes an answer as JSON, or with text.
func (f outputFlag) print(t *terminal, answer any, text func(io.Writer) error) error {
	if f.json() {
		return writeJSON(t.out, answer)
	}
	return text(t.out)
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// request is what most commands are: one request to /v1 of a running Gavel, and
// how its answer is printed.
type request[T any] struct {
	method string // GET if empty
	path   string // behind /v1/
	query  url.Values
	body   any
	json   func(T) any // the part of the answer that JSON shows; nil: all of it
	text   func(io.Writer, T) error
}

// run sends the request and prints the answer.
func (r request[T]) run(ctx context.Context, f clientFlags, t *terminal) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	var answer T
	if err := c.call(ctx, cmp.Or(r.method, http.MethodGet), r.path, r.query, r.body, &answer); err != nil {
		return err
	}
	shown := any(answer)
	if r.json != nil {
		shown = r.json(answer)
	}
	return f.print(t, shown, func(w io.Writer) error { return r.text(w, answer) })
}

// queryOf returns the parameters that have a value.
func queryOf(params map[string]string) url.Values {
	query := url.Values{}
	for name, value := range params {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// done is the answer of a request without a body in its answer. JSON shows what
// was done to what, and text shows a sentence.
type done struct{}

func didTo(what, to string) func(done) any {
	return func(done) any { return map[string]string{what: to} }
}

func sentence(words string) func(io.Writer, done) error {
	return func(w io.Writer, _ done) error {
		_, err := fmt.Fprintln(w, words)
		return err
	}
}

// client sends requests to /v1 of a running Gavel.
type client struct {
	server string
	sid    string
	secret string
	http   *http.Client
}

// callTimeout bounds a call; streams are not bounded.
const callTimeout = 30 * time.Second

func (f clientFlags) client() (*client, error) {
	c := &client{server: strings.TrimRight(f.Server, "/"), http: http.DefaultClient}
	if err := checkBaseURL(c.server); err != nil {
		return nil, usageError{fmt.Errorf("--server: %w", err)}
	}
	if f.APIKey != "" {
		var ok bool
		if c.sid, c.secret, ok = strings.Cut(f.APIKey, ":"); !ok {
			return nil, usageError{errors.New("--api-key: is not SID:SECRET")}
		}
		return c, nil
	}
	var err error
	c.sid, c.secret, err = keys.ReadFile(filepath.Join(f.DataDir, app.KeyFile))
	if err != nil {
		return nil, fmt.Errorf("%w; name a key with --api-key or GAVEL_API_KEY, or the data directory of the running Gavel with --data-dir", err)
	}
	return c, nil
}

// call sends body, unless it is nil, as JSON and decodes the answer, unless it is empty.
func (c *client) call(ctx context.Context, method, path string, query url.Values, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := c.open(ctx, method, path, query, body, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.server, err)
	}
	return nil
}

// open sends a request and returns a successful answer, whose body the caller
// closes. The error is a *refused for any other answer.
func (c *client) open(ctx context.Context, method, path string, query url.Values, body any, header http.Header) (*http.Response, error) {
	var encoded io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		encoded = bytes.NewReader(text)
	}
	address := c.server + "/v1/" + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, address, encoded)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", c.server, err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.SetBasicAuth(c.sid, c.secret)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w; is `gavel serve` running there? --server names another address", c.server, withoutURL(err))
	}
	if response.StatusCode >= 300 {
		defer response.Body.Close()
		return nil, refusal(c.server, response)
	}
	return response, nil
}

// withoutURL removes the URL from an error of net/http: the caller names the server
// already, and the query may hold names of people.
func withoutURL(err error) error {
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// refused is an answer whose status is 300 or more.
type refused struct {
	server string
	status int
	detail string
	retry  string // Retry-After, seconds
}

func (r *refused) Error() string {
	text := fmt.Sprintf("%s answered %d: %s", r.server, r.status, r.detail)
	switch r.status {
	case http.StatusUnauthorized:
		return text + "; name a key with --api-key, or the data directory of that Gavel with --data-dir"
	case http.StatusNotFound:
		what, _, _ := strings.Cut(r.detail, "; ") // the nearest name may follow
		if command, found := catalogues[what]; found {
			return text + "; `gavel " + command + "` lists them"
		}
	case http.StatusServiceUnavailable:
		return text + "; try again in " + either(r.retry != "", r.retry, "a few") + " s"
	}
	return text
}

// catalogues are the commands that list what was not found, by the beginning of the answer's detail.
var catalogues = map[string]string{
	"no such conference":  "conferences list",
	"no such dead letter": "deadletters list",
	"no such key":         "keys list",
	"no such rule":        "rules status",
}

// maxProblem is how many bytes of an error's body are read.
const maxProblem = 16 << 10

func refusal(server string, response *http.Response) error {
	var problem struct {
		Title, Detail string
		Errors        []struct{ Location, Message string }
	}
	// An answer that is not problem+json does not come from Gavel; its status is enough.
	_ = json.NewDecoder(io.LimitReader(response.Body, maxProblem)).Decode(&problem)
	detail := cmp.Or(problem.Detail, http.StatusText(response.StatusCode))
	for _, e := range problem.Errors {
		if !strings.Contains(detail, e.Location) { // otherwise the detail names it
			detail += "; " + e.Location + ": " + e.Message
		}
	}
	return &refused{server, response.StatusCode, detail, response.Header.Get("Retry-After")}
}

// refusedWith reports whether err is an answer with the status.
func refusedWith(err error, status int) bool {
	r := (*refused)(nil)
	return errors.As(err, &r) && r.status == status
}
