package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// standIn implements only the part of Twilio's REST API that ending a conference needs: fetch a
// conference, list its participants, complete it. It is light enough to run beside the measured
// process during a storm. The stand-in of gavel demo does more, and costs more.
type standIn struct {
	numbers map[string]int // of conferences, by SID

	mu    sync.Mutex
	ended map[int]time.Time // by number, the first time
	tally standInTally
}

// standInTally counts the requests.
type standInTally struct {
	// Reads are conferences fetched; Ends are requests to end one. Unknown
	// requests are those that nothing here should cause.
	Reads, Ends, Unknown int
	// EndedAt is when each was ended, in Unix nanoseconds, by number.
	EndedAt map[int]int64
}

// standInChild serves the requested number of conferences of a storm.
func standInChild(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("standin", flag.ContinueOnError)
	count := flags.Int("conferences", 0, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: newStandIn(*count).handler()}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	fmt.Fprintf(os.Stdout, "standin: ready http=%s\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func newStandIn(count int) *standIn {
	s := &standIn{numbers: make(map[string]int, count), ended: make(map[int]time.Time, count)}
	for n := range count {
		s.numbers[stormConference(n)] = n
	}
	return s
}

func (s *standIn) handler() http.Handler {
	const conferences = "/2010-04-01/Accounts/" + accountSid + "/Conferences/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+conferences+"{file}", s.of(s.fetch))
	mux.HandleFunc("POST "+conferences+"{file}", s.of(s.end))
	mux.HandleFunc("GET "+conferences+"{file}/Participants.json", s.of(s.participants))
	mux.HandleFunc("GET /tally", s.serveTally)
	mux.HandleFunc("/", s.unknown)
	return mux
}

// of finds the conference of a path, with or without a subresource.
func (s *standIn) of(answer func(number int, r *http.Request) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sid, _ := strings.CutSuffix(r.PathValue("file"), ".json")
		number, known := s.numbers[sid]
		if !known {
			s.unknown(w, r)
			return
		}
		reply(w, answer(number, r))
	}
}

func (s *standIn) unknown(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	s.tally.Unknown++
	s.mu.Unlock()
	w.WriteHeader(http.StatusNotFound)
}

// conferenceShown and participantShown are the fields of Twilio's resources that Gavel reads.
type conferenceShown struct {
	Sid    string `json:"sid"`
	Status string `json:"status"`
}

type participantShown struct {
	CallSid                string `json:"call_sid"`
	Label                  string `json:"label"`
	Status                 string `json:"status"`
	StartConferenceOnEnter bool   `json:"start_conference_on_enter"`
}

// showLeg returns a leg in the state its callback states: there is nothing else to heal.
func showLeg(number, leg int) participantShown {
	return participantShown{stormCall(number, leg), label(leg), "connected", true}
}

func (s *standIn) fetch(number int, _ *http.Request) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally.Reads++
	return s.show(number)
}

// show requires the caller to hold the lock.
func (s *standIn) show(number int) conferenceShown {
	status := "in-progress"
	if _, over := s.ended[number]; over {
		status = "completed"
	}
	return conferenceShown{stormConference(number), status}
}

func (s *standIn) participants(number int, _ *http.Request) any {
	legs := []participantShown{showLeg(number, 0)}
	if stormKind(number) != stillAlone {
		legs = append(legs, showLeg(number, 1))
	}
	return map[string]any{"participants": legs, "next_page_uri": nil}
}

func (s *standIn) end(number int, r *http.Request) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.PostFormValue("Status") != "completed" {
		s.tally.Unknown++
		return s.show(number)
	}
	s.tally.Ends++
	if _, over := s.ended[number]; !over {
		s.ended[number] = time.Now()
	}
	return s.show(number)
}

func (s *standIn) serveTally(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tally := s.tally
	tally.EndedAt = make(map[int]int64, len(s.ended))
	for number, at := range s.ended {
		tally.EndedAt[number] = at.UnixNano()
	}
	reply(w, tally)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	// The client may be gone; it needs no answer.
	_ = json.NewEncoder(w).Encode(v)
}
