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

// BenchmarkOwn reads entries of Gavel's own as the projector does: Parse, then
// what Fold takes out of them.
func BenchmarkOwn(b *testing.B) {
	for _, made := range ownEntries() {
		b.Run(made.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e, err := events.ParseStored(made.entry)
				if err != nil {
					b.Fatal(err)
				}
				switch e.Kind {
				case events.SpeechDropped:
					_, err = events.DroppedNumbers(e)
				case events.HealedFact:
					_, err = e.Healed()
				case events.ActionIntent, events.ActionOutcome:
					_, err = e.Action()
				case events.Exempted:
					_, err = e.Exemption()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
