package act

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"gavel/events"
	"gavel/internal/crashpoint"
	"gavel/internal/twilio"
	"gavel/rules"
)

const (
	// announceTime is how long the end of an announcement is waited for, once
	// Twilio has accepted it: longer ones are rare, and a rule that waits for
	// its end has to go on.
	announceTime = time.Minute
	// fetchTime is how long after the decision's deadline its announcement can
	// be fetched: Twilio does so right after it was asked.
	fetchTime = time.Minute
	// heardTime is how long the end of one is tried to be recorded: a decision
	// that cannot be found then never will be.
	heardTime = 10 * time.Minute
)

// announceDeed plays something to the conference or to one participant
// (Twilio, Conference and Participant resources: AnnounceUrl). Twilio takes no
// key by which it could know a second request for the first, so it may be asked
// twice: Gavel's own address serves what is announced once.
func announceDeed() deed {
	return post(events.DoAnnounce, url.Values{"AnnounceMethod": {http.MethodPost}})
}

// announcement is the form with the address, which names the decision.
func (t *task) announcement() (url.Values, error) {
	until := t.decision.AsOf.Add(rules.MaxAge + fetchTime)
	at, err := t.Accounts.AnnounceURL(t.PublicURL, t.decided.Key, t.decided.ID, until)
	if err != nil {
		return nil, fmt.Errorf("make address of announcement: %w", err)
	}
	form := url.Values{"AnnounceUrl": {at}}
	for name, values := range t.deed.form {
		form[name] = values
	}
	return form, nil
}

// checkAnnounced ends an announcement of which no end was told in time. Whether
// it was heard, nobody knows; one that is told of later is done after all.
func (t *task) checkAnnounced(context.Context) error {
	if t.note.Why == whyAnnounced {
		return end(events.Unknown, "unheard")
	}
	return nil
}

// heard records the end of an announcement of ours, as Twilio tells it.
func (p *Performer) heard(ctx context.Context, n events.Told) error {
	end, err := events.ParseCloudEvent(n.Data)
	key, id, ours := twilio.AnnounceID(end.Params.Get("AnnounceUrl"))
	if err != nil || !ours || key != n.Key {
		return nil // it is about no announcement of ours
	}
	t, err := p.told(ctx, key, id)
	if err != nil && p.Now().Sub(end.ReceivedAt) > heardTime {
		p.Log.Error("end of an announcement is passed over", "decision", id, "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	outcome := events.Outcome{Result: events.Done, Why: "heard"}
	if n.Kind == events.AnnouncementFail {
		outcome = events.Outcome{Result: events.Failed, Why: "announcement"}
	}
	if a := t.recorded(); a != nil && a.Outcome != nil && a.Outcome.Result != events.Unknown {
		return nil
	}
	crashpoint.Pass(crashpoint.AnnouncementEnded)
	return t.recordOutcome(ctx, outcome)
}

// told is the task that an announcement belongs to, with its record.
func (p *Performer) told(ctx context.Context, key events.Key, id string) (*task, error) {
	d, err := p.Decisions.Get(ctx, key, id)
	if err != nil {
		return nil, err
	}
	t, err := p.task(d, note{})
	if err != nil {
		return nil, err
	}
	return t, t.awaitRecord(ctx)
}
