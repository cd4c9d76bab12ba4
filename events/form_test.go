package events_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/events"
)

func TestFormKeepsOrderDoublesAndEveryCharacter(t *testing.T) {
	t.Parallel()
	got, err := events.ParseForm("b=1&a=x+y%2Bz&b=2&Reason=&name=%F0%9F%98%80caf%C3%A9&flag&p=a=b;c", events.MaxParams)
	if err != nil {
		t.Fatal(err)
	}
	want := events.Params{
		{Name: "b", Value: "1"},
		{Name: "a", Value: "x y+z"},
		{Name: "b", Value: "2"},
		{Name: "Reason"},
		{Name: "name", Value: "😀café"},
		{Name: "flag"},
		{Name: "p", Value: "a=b;c"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFormIsStrict(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"escape cut short":       "a=%4",
		"escape at the end":      "a=%",
		"escape that is no hex":  "a=%zz",
		"escape in a name":       "%q=1",
		"latin 1":                "a=%E9",
		"latin 1 unescaped":      "a=\xe9",
		"UTF-8 across the equal": "a%C3=%A9",
		"no name":                "=1",
		"empty pair":             "a=1&&b=2",
		"trailing ampersand":     "a=1&",
		"one too many":           strings.Repeat("a=1&", 4) + "a=1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := events.ParseForm(raw, 4)
			var fault *events.FormError
			if !errors.As(err, &fault) || !errors.Is(err, events.ErrMalformed) {
				t.Errorf("got %v, want a *FormError that is ErrMalformed", err)
			}
		})
	}
}

func TestTooManyParametersIsAnErrorOfItsOwn(t *testing.T) {
	t.Parallel()
	if _, err := events.ParseForm("a=1&b=2", 1); !errors.Is(err, events.ErrTooManyParams) {
		t.Errorf("got %v, want ErrTooManyParams", err)
	}
	if _, err := events.ParseForm("a=1&b=2", 2); err != nil {
		t.Errorf("at the limit: %v", err)
	}
}

func FuzzParseForm(f *testing.F) {
	f.Add("a=1&b=x+y%2B&b=")
	f.Add("FriendlyName=Sala+de+reuni%C3%A3o&Muted=false")
	f.Add("%=&&=;a")
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := events.ParseForm(raw, events.MaxParams)
		if err != nil {
			return
		}
		if again, err := events.ParseForm(got.Encode(), events.MaxParams); err != nil || !cmp.Equal(got, again) {
			t.Fatalf("%q does not survive Encode: %v", raw, err)
		}
		values, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		ours := url.Values{}
		for _, p := range got {
			ours.Add(p.Name, p.Value)
		}
		if diff := cmp.Diff(values, ours); diff != "" {
			t.Fatalf("differs from net/url on %q:\n%s", raw, diff)
		}
	})
}
