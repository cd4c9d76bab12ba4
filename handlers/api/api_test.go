package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
	"gavel/handlers/api"
	"gavel/internal/keys"
	"gavel/projections"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	want := api.Version{Gavel: "v1.2.3", Go: "go1.26", NATS: "2.15.2"}
	if diff := cmp.Diff(want, read[api.Version](t, s.get("version"))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestKeysAreCreatedShownOnceAndRevoked(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	a := s.as(s.all, http.MethodPost, "keys", `{"name":"board","accounts":["`+strings.ToUpper(account)+`"]}`)
	var made api.NewKey
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || a.status != http.StatusCreated {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	if made.Name != "board" || made.Role != keys.Viewer || !slices.Equal(made.Accounts, []string{account}) {
		t.Errorf("made %+v", made.Key)
	}
	board := credentials{made.Sid, made.Secret}
	if a := s.as(board, http.MethodGet, "version", ""); a.status != http.StatusOK {
		t.Errorf("it does not open: %d", a.status)
	}
	listed := s.get("keys")
	if all := read[api.KeyList](t, listed).Keys; len(all) != 2 || strings.Contains(listed.body, made.Secret) {
		t.Errorf("listed %s", listed.body)
	}
	if a := s.as(s.all, http.MethodDelete, "keys/"+made.Sid, ""); a.status != http.StatusNoContent || a.body != "" {
		t.Errorf("revoking: %d %s", a.status, a.body)
	}
	if a := s.as(board, http.MethodGet, "version", ""); a.status != http.StatusUnauthorized {
		t.Errorf("it still opens: %d", a.status)
	}
	if a := s.as(s.all, http.MethodDelete, "keys/"+made.Sid, ""); a.status != http.StatusNotFound {
		t.Errorf("revoking again: %d", a.status)
	}
}

func TestKeysThatMakeNoSense(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, body := range []string{`{}`, `{"name":""}`, `{"name":"x","accounts":["CF"]}`, `{"name":"x","admin":true}`, `{"name":"x","role":"owner"}`, `{"name":"x","role":"admin","accounts":["` + account + `"]}`, `[]`, `{`} {
		if a := s.as(s.all, http.MethodPost, "keys", body); a.status != 422 && a.status != 400 {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
}

func TestOnlyAnAdminManagesKeys(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, who := range []credentials{s.key(), s.key(account), s.keyOf(keys.Operator), {account, token}} {
		for _, c := range [][3]string{
			{http.MethodGet, "keys", ""}, {http.MethodPost, "keys", `{"name":"mine"}`}, {http.MethodDelete, "keys/" + s.all.user, ""},
		} {
			if a := s.as(who, c[0], c[1], c[2]); a.status != http.StatusForbidden {
				t.Errorf("%s %s: %d %s", c[0], c[1], a.status, a.body)
			}
		}
	}
	if a := s.get("version"); a.status != http.StatusOK {
		t.Errorf("the admin's key: %d", a.status)
	}
	a := s.as(s.all, http.MethodPost, "keys", `{"name":"second","role":"admin"}`)
	var second api.NewKey
	if err := json.Unmarshal([]byte(a.body), &second); err != nil || second.Role != keys.Admin {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	if a := s.as(credentials{second.Sid, second.Secret}, http.MethodGet, "keys", ""); a.status != http.StatusOK {
		t.Errorf("a second admin: %d %s", a.status, a.body)
	}
}

// operations are all there are; the description must know them, and each must ask who is there.
var operations = [][2]string{
	{http.MethodGet, "/v1/conferences"},
	{http.MethodGet, "/v1/conferences/{conference}"},
	{http.MethodGet, "/v1/conferences/{conference}/timeline"},
	{http.MethodPost, "/v1/conferences/{conference}/exempt"},
	{http.MethodGet, "/v1/rules"},
	{http.MethodPost, "/v1/rules/{rule}/reset"},
	{http.MethodGet, "/v1/decisions"},
	{http.MethodGet, "/v1/armed"},
	{http.MethodGet, "/v1/stop"},
	{http.MethodPost, "/v1/stop"},
	{http.MethodPost, "/v1/resume"},
	{http.MethodGet, "/v1/deadletters"},
	{http.MethodGet, "/v1/deadletters/{id}"},
	{http.MethodPost, "/v1/deadletters/{id}/redrive"},
	{http.MethodGet, "/v1/tail"},
	{http.MethodPost, "/v1/rebuild"},
	{http.MethodGet, "/v1/journal"},
	{http.MethodPost, "/v1/journal/accept"},
	{http.MethodPost, "/v1/journal/verify"},
	{http.MethodGet, "/v1/keys"},
	{http.MethodPost, "/v1/keys"},
	{http.MethodDelete, "/v1/keys/{sid}"},
	{http.MethodGet, "/v1/version"},
}

func TestTheDescriptionIsTheRouter(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	a := s.as(credentials{}, http.MethodGet, "openapi.json", "")
	described := read[struct {
		OpenAPI string
		Paths   map[string]map[string]any
	}](t, a)
	var got, want []string
	for path, methods := range described.Paths {
		for method := range methods {
			got = append(got, strings.ToUpper(method)+" "+path)
		}
	}
	for _, o := range operations {
		want = append(want, o[0]+" "+o[1])
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" || described.OpenAPI != "3.1.0" {
		t.Errorf("OpenAPI %s (-want +got):\n%s", described.OpenAPI, diff)
	}
}

func TestNoOperationIsForStrangers(t *testing.T) {
	t.Parallel()
	s := start(t, []*projections.Conference{story()})
	for _, o := range operations {
		path := strings.NewReplacer("/v1/", "", "{conference}", sid("CF", 1), "{sid}", s.all.user).Replace(o[1])
		for _, authorization := range []string{
			"", "Basic", "Basic !", "Bearer", "Bearer " + s.all.user, "Bearer " + s.all.user + ":wrong", "Digest " + s.all.user + ":" + s.all.password,
		} {
			var headers []string
			if authorization != "" {
				headers = []string{"Authorization", authorization}
			}
			response := s.open(t.Context(), credentials{}, o[0], path, "", headers...)
			_ = response.Body.Close()
			if response.StatusCode != http.StatusUnauthorized || response.Header.Get("WWW-Authenticate") == "" ||
				response.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s with %q: %d %v", o[0], path, authorization, response.StatusCode, response.Header)
			}
		}
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	s := start(t, []*projections.Conference{story()})
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "nothing", 404},
		{http.MethodGet, "", 404},
		{http.MethodDelete, "conferences", 405},
		{http.MethodPost, "version", 405},
		{http.MethodGet, "conferences/" + sid("CF", 9), 404},
	} {
		a := s.as(s.all, c.method, c.path, "")
		var p struct{ Status int }
		if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.status != c.status || p.Status != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
		}
		if a.header.Get("Content-Type") != "application/problem+json" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %v", c.method, c.path, a.header)
		}
		if c.status == 405 && a.header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", c.method, c.path)
		}
	}
}

func TestALostPictureSaysComeBackSoon(t *testing.T) {
	t.Parallel()
	s := start(t, []*projections.Conference{story()}, withNews(t))
	s.redis.Empty()
	for _, path := range []string{
		"conferences", "conferences/" + sid("CF", 1), "conferences/name", "conferences/" + sid("CF", 1) + "/timeline", "tail?conference=name",
	} {
		if a := s.get(path); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v %s", path, a.status, a.header, a.body)
		}
	}
	f := s.follow(s.all, "tail") // needs no picture
	f.end()
}

// hanging is the picture in a Redis that does not answer: a read would end with its deadline.
type hanging struct{ projections.Reader }

func (hanging) end(ctx context.Context) error {
	if _, bounded := ctx.Deadline(); !bounded {
		return errors.New("the read would never end")
	}
	return fmt.Errorf("read: %w: i/o timeout", projections.ErrUnreachable)
}

func (h hanging) Conference(ctx context.Context, _ events.Key) (projections.Stored, error) {
	return projections.Stored{}, h.end(ctx)
}

func (h hanging) Conferences(ctx context.Context, _ string, _ projections.Query) (projections.Page, error) {
	return projections.Page{}, h.end(ctx)
}

func (h hanging) Accounts(ctx context.Context) ([]string, error) { return nil, h.end(ctx) }

func (h hanging) Armed(ctx context.Context, _ string, _ int) ([]projections.Due, error) {
	return nil, h.end(ctx)
}

func TestA503NamesRedisAsItsCause(t *testing.T) {
	t.Parallel()
	s := start(t, []*projections.Conference{story()}, func(c *api.Config) { c.Reader = hanging{c.Reader} })
	for _, path := range []string{"conferences", "conferences/" + sid("CF", 1), "conferences/name", "armed"} {
		a := s.get(path)
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "Redis does not answer") {
			t.Errorf("%s: %d %v %s", path, a.status, a.header, a.body)
		}
	}
}

// A page of another site may not use what a browser remembers.
func TestAnotherSitesPageChangesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, nil, func(c *api.Config) { c.Rebuild = newBuilder() })
	response := s.open(t.Context(), s.all, http.MethodPost, "rebuild", "", "Sec-Fetch-Site", "cross-site", "Origin", "https://example.com")
	_ = response.Body.Close()
	if response.StatusCode != http.StatusForbidden || response.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
}
