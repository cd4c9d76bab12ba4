package act

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"gavel/events"
	"gavel/internal/twilio"
	"gavel/projections"
)

// Times after the end of a conference. One fetch is enough if Twilio answers it.
const (
	// fetchDelay lets the callback arrive that follows an end which Twilio's answer stated, so that
	// there is one fetch for both, and lets Twilio complete its own record.
	fetchDelay = 5 * time.Second
	// leaveDelay is the wait after the last leg left a conference whose end no callback stated: the
	// callback may be on its way, or a leg may come back.
	leaveDelay = time.Minute
	// fetchAge is the age of an end that is no longer fetched: the consumer of a role that was off for
	// days would call Twilio about all conferences of that time.
	fetchAge = 24 * time.Hour
	// The three tries that follow a failed one.
	secondFetch = time.Minute
	thirdFetch  = 8 * time.Minute
	lastFetch   = 50 * time.Minute
	// fetchWithin is after the last try: a wait that Twilio requires beyond it ends the tries.
	fetchWithin = time.Hour
	// leavesKept is how many conferences lastLeaves holds.
	leavesKept = 8192
)

// Results of a fetch, as the metric has them.
const (
	fetchRecorded = "recorded"
	fetchMissing  = "missing" // Twilio answered 404, which is final
	fetchRetried  = "retried" // it failed, and another try follows
	fetchFailed   = "failed"  // the last try failed
	fetchLate     = "late"    // its end is older than fetchAge
	// fetchStillOpen: the end was inferred, and by the last try Twilio had not completed it.
	fetchStillOpen = "open"
)

// endings are the kinds of news with which a conference can end. After a leave an end can be inferred.
var endings = []events.Kind{events.ConferenceEnd, events.HealedFact, events.InsightsConferenceSummary, events.ParticipantLeave}

// followEnds fetches conferences that end. If that is switched off it removes the consumer, so that
// switching it on again fetches nothing about the past.
func (p *Performer) followEnds(ctx context.Context) error {
	if p.FetchEnded {
		return p.News.FollowNew(ctx, fetchConsumer, endings, p.conferenceEnded)
	}
	if err := p.News.Unfollow(ctx, fetchConsumer); err != nil {
		p.Log.Warn("the consumer of ended conferences is still there", "error", err)
	}
	return nil
}

// conferenceEnded fetches the conference of a news, if the news is about its end and the record lacks
// what Twilio returns.
func (p *Performer) conferenceEnded(ctx context.Context, n events.StoredNews) error {
	end, err := events.ParseCloudEvent(n.Data)
	if err != nil || !p.Twilio.CanCall(n.Key.AccountSid) {
		return nil // news that cannot be read has no time to retry by
	}
	since := p.Now().Sub(end.ReceivedAt)
	ofLeg := n.Kind == events.ParticipantLeave || n.Kind == events.HealedFact && end.Params.Get("Fact") != string(events.ConferenceEnd)
	if wait := p.fetchWait(since, fetchDelay); wait != nil && !ofLeg {
		return wait
	}
	if ofLeg && !p.leaves.isLast(n) {
		return nil // the news of the later leave decides, so that both do not fetch
	}
	stored, err := p.Records.Conference(ctx, n.Key)
	switch {
	case errors.Is(err, projections.ErrNotFound):
		return nil // the picture no longer keeps it
	case err != nil:
		return fmt.Errorf("read the record of an ended conference: %w", err)
	case n.Position.After(stored.Book.Applied):
		return events.Later{After: firstLag}
	}
	c := stored.Conference
	isEnd := c.End != nil && (n.Kind == events.ConferenceEnd || c.End.Healed)
	if ofLeg {
		isEnd = c.EndInferred()
	}
	delay := leaveDelay
	if since < fetchDelay { // most conferences have their end by then, and leave the consumer
		delay = fetchDelay
	}
	wait := p.fetchWait(since, delay)
	switch {
	case !isEnd || c.Fetched != nil:
		return nil // another news is about the end, or it was fetched
	case ofLeg && wait != nil:
		return wait
	case since > fetchAge:
		p.Metrics.fetches.WithLabelValues(fetchLate).Inc()
		return nil
	}
	return p.fetchEnded(ctx, c, since)
}

// lastLeaves holds, per conference, the position of the last news about a leg. Legs that leave together
// have news that is due together, and only one fetch may follow. Another process may have the other
// news: then two fetches follow, and the record has their answers once.
type lastLeaves struct {
	mu        sync.Mutex
	positions *simplelru.LRU[events.Key, events.Position]
}

func newLastLeaves() *lastLeaves {
	positions, err := simplelru.NewLRU[events.Key, events.Position](leavesKept, nil)
	if err != nil {
		panic(err) // leavesKept is positive
	}
	return &lastLeaves{positions: positions}
}

// isLast reports whether no later news about a leg of that conference was seen.
func (l *lastLeaves) isLast(n events.StoredNews) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.positions.Get(n.Key); ok && last.After(n.Position) {
		return false
	}
	l.positions.Add(n.Key, n.Position)
	return true
}

// fetchWait returns how long to wait, as a Later, until that time after the end has certainly passed;
// nil if it has.
func (p *Performer) fetchWait(since, delay time.Duration) error {
	switch {
	case p.Doubt() != nil:
		return events.Later{After: events.MaxLater} // the age of the end is unknown
	case since < delay:
		return events.Later{After: delay - since}
	}
	return nil
}

// fetchEnded makes one try, since that time after the end.
func (p *Performer) fetchEnded(ctx context.Context, c *projections.Conference, since time.Duration) error {
	calling, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	now := p.Now()
	answer, err := p.Twilio.Call(calling, twilio.Call{
		AccountSid: c.AccountSid, Region: c.KeyRegion.Value, Kind: "fetch-ended", Method: http.MethodGet,
		Path: twilio.ConferencePath(c.Key()) + ".json", Spare: true,
	})
	var resource struct {
		Status  string `json:"status"`
		Region  string `json:"region"`
		Reason  string `json:"reason_conference_ended"`
		CallSid string `json:"call_sid_ending_conference"`
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, twilio.ErrNoCredentials):
		return nil // none in the conference's region
	case errors.Is(err, twilio.ErrCrowded):
		return p.fetchLater(c, since, events.Later{After: events.MaxLater}, err)
	case err == nil && answer.Status == http.StatusNotFound && answer.InForm():
		p.Metrics.fetches.WithLabelValues(fetchMissing).Inc()
		return nil
	case err == nil && answer.Status == http.StatusOK && json.Unmarshal(answer.Body, &resource) == nil:
		if c.End == nil && resource.Status != projections.StatusCompleted {
			return p.fetchOpen(since)
		}
		return p.recordFetched(ctx, events.Fetched{
			ID: events.NewULID(), Key: c.Key(), Region: resource.Region, Reason: resource.Reason, CallSid: resource.CallSid, At: now,
		})
	case err == nil:
		err = &twilio.AnswerError{Answer: answer}
	}
	return p.fetchLater(c, since, nextFetch(since, answer.RetryAfter()), err)
}

// fetchOpen ends a try about a conference that Twilio has not completed, although its end was inferred.
// It is no failure: a leg may be present whose join was lost.
func (p *Performer) fetchOpen(since time.Duration) error {
	next := nextFetch(since, 0)
	if next.After == 0 {
		p.Metrics.fetches.WithLabelValues(fetchStillOpen).Inc()
		return nil
	}
	p.Metrics.fetches.WithLabelValues(fetchRetried).Inc()
	return next
}

// nextFetch is the next try after one that failed since that time after the end; its After is 0 if
// there is none. A try that a crash repeated does not count as one of the three.
func nextFetch(since, least time.Duration) (next events.Later) {
	for _, at := range []time.Duration{secondFetch, thirdFetch, lastFetch} {
		if at > since+since/4 { // the redelivery may be a little early
			return events.Later{After: max(at-since, least)}
		}
	}
	return next
}

// fetchLater ends a try that failed.
func (p *Performer) fetchLater(c *projections.Conference, since time.Duration, next events.Later, why error) error {
	if next.After == 0 || since+next.After > fetchWithin {
		p.Metrics.fetches.WithLabelValues(fetchFailed).Inc()
		p.Log.Warn("an ended conference cannot be fetched from Twilio; what only Twilio has stays unknown",
			"account_sid", c.AccountSid, "conference_sid", c.ConferenceSid, "error", why)
		return nil
	}
	p.Metrics.fetches.WithLabelValues(fetchRetried).Inc()
	return next
}

// recordFetched appends what was fetched to the journal. After an error the conference is fetched
// again; a second entry would be a duplicate.
func (p *Performer) recordFetched(ctx context.Context, f events.Fetched) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTime)
	defer cancel()
	if err := p.Journal.Append(ctx, f.Key.ConferenceSid, events.NewFetched(f)); err != nil {
		return fmt.Errorf("append what was fetched from Twilio: %w", err)
	}
	p.Metrics.fetches.WithLabelValues(fetchRecorded).Inc()
	return nil
}
