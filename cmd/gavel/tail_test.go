package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/handlers/api"
)

func TestServerSentEventsAreRead(t *testing.T) {
	t.Parallel()
	stream := ": gavel\n\nid: 7\ndata: {\"a\":1}\n\n:\n\nid: 8\ndata:{\"b\":2}\nretry: 5\n\nid: 9\n\ndata: one\ndata: two\n\nid: 10\ndata: cut off"
	type event struct{ ID, Data string }
	var got []event
	err := readEvents(strings.NewReader(stream), func(id string, data []byte) error {
		got = append(got, event{id, string(data)})
		return nil
	})
	if !errors.Is(err, io.EOF) {
		t.Errorf("error = %v, want the end of the stream", err)
	}
	want := []event{{"7", `{"a":1}`}, {"8", `{"b":2}`}, {"9", "one\ntwo"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func FuzzReadEvents(f *testing.F) {
	f.Add("id: 1\ndata: x\n\n")
	f.Add(":\n\n\n\ndata:\n\nid\ndata\n\n")
	f.Fuzz(func(t *testing.T, stream string) {
		err := readEvents(strings.NewReader(stream), func(_ string, data []byte) error {
			if len(data) == 0 {
				t.Error("an event without data was shown")
			}
			return nil
		})
		if err == nil {
			t.Error("the end of the stream was not reported")
		}
	})
}

func TestARebuildIsFollowedToItsEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ stream, out, err string }{
		"finished": {
			`{"done":5,"total":10}` + "\n" + `{"done":10,"total":10,"finished":true}`,
			"[########################################] 100 %  10 of 10 journal messages\n", "",
		},
		"failed":  {`{"done":5,"total":10,"error":"redis is away"}`, "[####################....................]  50 %  5 of 10 journal messages\n", "rebuild: redis is away"},
		"cut off": {`{"done":5,"total":10}`, "", "the connection ended before the rebuild did"},
		"empty":   {`{"done":0,"total":0,"finished":true}`, "[########################################] 100 %  0 of 0 journal messages\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := followRebuild(strings.NewReader(c.stream), progressBar(&out, false))
			if out.String() != c.out {
				t.Errorf("printed %q, want %q", out.String(), c.out)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error = %v, want %q", err, c.err)
			}
		})
	}
	var out bytes.Buffer
	bar := progressBar(&out, true)
	for _, p := range []api.Progress{{Done: 1, Total: 4}, {Done: 4, Total: 4, Finished: true}} {
		if err := bar(p); err != nil {
			t.Fatal(err)
		}
	}
	if got := out.String(); strings.Count(got, "\r") != 2 || !strings.HasSuffix(got, "\n") {
		t.Errorf("a terminal gets %q, want one line drawn over", got)
	}
}
