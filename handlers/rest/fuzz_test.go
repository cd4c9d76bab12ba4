package rest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// ask sends a request without a network, so that any path is possible.
func ask(h http.Handler, path, query string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.URL = &url.URL{Path: "/", RawQuery: query}
	if decoded, err := url.PathUnescape(path); err == nil {
		r.URL.Path, r.URL.RawPath = decoded, path
	}
	r.SetBasicAuth(account, token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Every query is answered or refused; the URIs of a page lead to another page,
// with the same filters.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{
		"", "PageSize=1", "PageSize=1&PageToken=PB" + sid("CF", 1), "DateCreated>=2026-08-01&DateCreated%3C=2026-09-01",
		"DateCreated=%3E%3D2026-01-01&Status=init", "FriendlyName=a+b%2B%26%zz", "Muted=true&GavelHistory=true", ";", "Page=1e9",
	} {
		f.Add(q)
	}
	s := start(f, fullRoom(), room(2, "a+b&", at("08-01 12:00:00")))
	h := s.handler(s.store)
	f.Fuzz(func(t *testing.T, query string) {
		for _, route := range []string{routes[0], routes[2], routes[4]} {
			w := ask(h, accounts+account+route, query)
			if w.Code == http.StatusBadRequest {
				continue
			}
			if w.Code != http.StatusOK {
				t.Fatalf("%s?%s: %d %s", route, query, w.Code, w.Body)
			}
			again := pageURI(t, w.Body.String())
			path, itsQuery, _ := strings.Cut(again, "?")
			if second := ask(h, path, itsQuery); second.Code != http.StatusOK || pageURI(t, second.Body.String()) != again {
				t.Fatalf("%s?%s leads to %s: %d %s", route, query, again, second.Code, second.Body)
			}
		}
	})
}

// Every path gets one of the answers that a path can have.
func FuzzPath(f *testing.F) {
	for _, route := range routes {
		f.Add(accounts + account + route)
	}
	for _, path := range []string{"/", "//", accounts, accounts + account + "/Conferences/%2F.json", accounts + account + "/Conferences/%ff/Participants/%zz.json"} {
		f.Add(path)
	}
	s := start(f, fullRoom())
	h := s.handler(s.store)
	f.Fuzz(func(t *testing.T, path string) {
		switch w := ask(h, path, ""); w.Code {
		case http.StatusOK, http.StatusNotFound, http.StatusMethodNotAllowed:
		default:
			t.Fatalf("%q: %d %s", path, w.Code, w.Body)
		}
	})
}

func pageURI(t *testing.T, body string) string {
	t.Helper()
	var p struct{ URI string }
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return p.URI
}
