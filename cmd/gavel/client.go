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

// clientFlags are the settings of every command that asks a running Gavel.
type clientFlags struct {
	Server  string `default:"http://127.0.0.1:8080" env:"GAVEL_SERVER" placeholder:"URL" help:"The Gavel to ask (default ${default})."`
	APIKey  string `name:"api-key" env:"GAVEL_API_KEY" placeholder:"SID:SECRET" help:"API key (default: the first key, in the data directory)."`
	DataDir string `default:"./gavel-data" env:"GAVEL_DATA_DIR" placeholder:"DIR" help:"Where the first key is looked for (default ${default})."`
	outputFlag
}

// outputFlag says how a command prints its answer.
type outputFlag struct {
	Output string `default:"text" enum:"text,json" placeholder:"text|json" help:"Text for people, JSON for scripts (default ${default})."`
}

func (f outputFlag) json() bool { return f.Output == "json" }

// print writes an answer as JSON, or by text.
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

// question is what most commands are: a request to a running Gavel, and how its
// answer is shown.
type question[T any] struct {
	method string // GET if empty
	path   string // behind /v1/
	query  url.Values
	body   any
	json   func(T) any // what JSON shows of the answer; nil: all of it
	text   func(io.Writer, T) error
}

// run sends the request and prints the answer.
func (q question[T]) run(ctx context.Context, f clientFlags, t *terminal) error {
	asker, err := f.client()
	if err != nil {
		return err
	}
	var answer T
	if err := asker.ask(ctx, cmp.Or(q.method, http.MethodGet), q.path, q.query, q.body, &answer); err != nil {
		return err
	}
	shown := any(answer)
	if q.json != nil {
		shown = q.json(answer)
	}
	return f.print(t, shown, func(w io.Writer) error { return q.text(w, answer) })
}

// done is the answer of a request that answers nothing; JSON shows what was done
// to what, and text a sentence.
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

// client asks /v1 of a running Gavel.
type client struct {
	server string
	sid    string
	secret string
	http   *http.Client
}

// askTimeout bounds a question; streams have none.
const askTimeout = 30 * time.Second

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

// ask sends body, if it is not nil, as JSON and decodes the answer, if there is
// one.
func (c *client) ask(ctx context.Context, method, path string, query url.Values, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
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

// open sends a request and returns the answer if it is a success; the caller
// closes its body.
func (c *client) open(ctx context.Context, method, path string, query url.Values, body any, header http.Header) (*http.Response, error) {
	var encoded io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode the question: %w", err)
		}
		encoded = bytes.NewReader(text)
	}
	address := c.server + "/v1/" + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, address, encoded)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.server, err)
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
		return nil, fmt.Errorf("ask %s: %w; is `gavel serve` running there? --server says where to ask", c.server, withoutURL(err))
	}
	if response.StatusCode >= 300 {
		defer response.Body.Close()
		return nil, refusal(c.server, response)
	}
	return response, nil
}

// withoutURL takes the address out of an error of net/http, which would say it
// a second time and with the query, where names of people may stand.
func withoutURL(err error) error {
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// refused is an answer that is no success.
type refused struct {
	server string
	status int
	detail string
	retry  string // Retry-After, seconds
}

func (r *refused) Error() string {
	said := fmt.Sprintf("%s answered %d: %s", r.server, r.status, r.detail)
	switch r.status {
	case http.StatusUnauthorized:
		return said + "; name a key with --api-key, or the data directory of that Gavel with --data-dir"
	case http.StatusNotFound:
		return said + r.wayOn()
	case http.StatusServiceUnavailable:
		return said + "; try again in " + either(r.retry != "", r.retry, "a few") + " s"
	}
	return said
}

// catalogues show what there is of what was not found.
var catalogues = map[string]string{
	"no such conference":  "conferences list",
	"no such dead letter": "deadletters list",
	"no such key":         "keys list",
	"no such rule":        "rules status",
}

func (r *refused) wayOn() string {
	if command, there := catalogues[r.detail]; there {
		return "; `gavel " + command + "` shows what there is"
	}
	return ""
}

// maxProblem bounds what is read of an error's body.
const maxProblem = 16 << 10

func refusal(server string, response *http.Response) error {
	var problem struct {
		Title, Detail string
		Errors        []struct{ Location, Message string }
	}
	// What is no problem+json comes from something else than Gavel; the status
	// says enough.
	_ = json.NewDecoder(io.LimitReader(response.Body, maxProblem)).Decode(&problem)
	detail := problem.Detail
	if detail == "" {
		detail = http.StatusText(response.StatusCode)
	}
	for _, e := range problem.Errors {
		if !strings.Contains(detail, e.Location) { // else it says so itself
			detail += "; " + e.Location + ": " + e.Message
		}
	}
	return &refused{server, response.StatusCode, detail, response.Header.Get("Retry-After")}
}

// refusedWith reports whether err is an answer with that status.
func refusedWith(err error, status int) bool {
	r := (*refused)(nil)
	return errors.As(err, &r) && r.status == status
}
