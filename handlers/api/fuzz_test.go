package api_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"gavel/projections"
)

// Whatever the query and the credentials hold, it is answered or refused.
func FuzzRequest(f *testing.F) {
	f.Add("limit=1&cursor=1."+sid("CF", 1), "Basic Og==")
	f.Add("created_from=2026-08-03T10:00:00Z&status=init&account="+account, "Bearer a:b")
	f.Add("friendly_name=%zz;", "bearer :")
	s := assemble(f, []*projections.Conference{story()})
	f.Fuzz(func(t *testing.T, query, authorization string) {
		for _, login := range []bool{true, false} {
			r := httptest.NewRequest(http.MethodGet, "/v1/conferences", nil)
			r.URL = &url.URL{Path: "/v1/conferences", RawQuery: query}
			r.Header.Set("Authorization", authorization)
			if login {
				r.SetBasicAuth(s.all.user, s.all.password)
			}
			w := httptest.NewRecorder()
			s.api.ServeHTTP(w, r)
			switch {
			case !login && w.Code == http.StatusUnauthorized:
			case login && (w.Code == 200 || w.Code == 400 || w.Code == 404 || w.Code == 422):
			default:
				t.Fatalf("%q with %q: %d %s", query, authorization, w.Code, w.Body)
			}
		}
	})
}
