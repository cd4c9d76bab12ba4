package events_test

import (
	"testing"

	"gavel/events"
)

func BenchmarkParse(b *testing.B) {
	e := entry(events.SourceCallback, sample(b, "callbacks/participant-leave.form"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := events.Parse(e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseForm(b *testing.B) {
	form := sample(b, "callbacks/participant-leave.form")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := events.ParseForm(form, events.MaxParams); err != nil {
			b.Fatal(err)
		}
	}
}
