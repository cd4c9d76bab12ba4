// Package events holds what happened in a conference.
//
// It turns the parameters Twilio sends into an [Event] with an identity made of signed fields, and
// frames events for the journal. It does no I/O and does not depend on its users.
//
// Reading order: params.go and form.go (names and values as received), event.go (what they mean),
// parse.go, parameter.go and shape.go (the strict form), id.go (identity), own.go, speech.go and
// action.go (our own entries), asked.go and words.go (what an action keeps and how it reads),
// journal.go (groups of entries in a message), cloudevent.go (what subscribers read).
package events
