// Package events is the ground floor: what happened in a conference.
//
// It turns the parameters Twilio sends into an [Event] with an identity made
// of signed fields, and frames events for the journal. Nothing here does I/O,
// and nothing here knows who uses it.
//
// Reading order: params.go and form.go (names and values as they came),
// event.go (what they mean), parse.go, parameter.go and hidden.go (the strict
// form), id.go (identity), own.go, speech.go and action.go (our own entries),
// asked.go and words.go (what an action keeps and how it reads), journal.go (how
// groups of entries travel), cloudevent.go (what subscribers read).
package events
