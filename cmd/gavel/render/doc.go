// Package render prints what /v1 answers, for people: tables, cards and lines of a terminal.
// Its functions get values and a writer, and send no requests.
//
// Reading order: conference.go (conferences, and what tables share), event.go (events,
// colours), status.go (rules), armed.go, letters.go.
package render
