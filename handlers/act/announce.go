package act

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"time"

	"gavel/events"
	"gavel/internal/crashpoint"
	"gavel/internal/twilio"
)

const (
	// announceTime is how long a decision waits for the end of its announcement after Twilio has
	// accepted it. Longer announcements are rare, and a rule that waits for the end must go on.
	announceTime = time.Minute
	// fetchTime is how long after the decision's deadline its announcement can
	// be fetched. Twilio fetches it right after the request.
	fetchTime = time.Minute
	// endRecordTime bounds the tries to record the end of an announcement. A
	// decision that cannot be found by then never will be.
	endRecordTime = 10 * time.Minute
)

// announcement returns the form with the address, which names the decision.
func (t *task) announcement() (url.Values, error) {
	until := t.decision.AsOf.Add(t.maxAge() + fetchTime)
	at, err := t.Accounts.AnnounceURL(t.PublicURL, t.decided.Key, t.decided.ID, until)
	if err != nil {
		return nil, fmt.Errorf("make address of announcement: %w", err)
	}
	form := maps.Clone(t.op.form)
	form.Set("AnnounceUrl", at)
	return form, nil
}

// checkAnnounced ends an announcement whose end was not reported in time. It is
// not known whether it was played; a later report makes it done after all.
func (t *task) checkAnnounced(context.Context) error {
	if t.note.Why == whyAnnounced {
		return end(events.Unknown, "unheard")
	}
	return nil
}

// announcementEnded records the end of an announcement of ours, as a callback of Twilio reports it.
func (p *Performer) announcementEnded(ctx context.Context, n events.StoredNews) error {
	end, err := events.ParseCloudEvent(n.Data)
	key, id, ours := twilio.AnnounceID(end.Params.Get("AnnounceUrl"))
	if err != nil || !ours || key != n.Key {
		return nil // not an announcement of ours
	}
	if p.Doubt() != nil {
		return events.Later{After: busyDelay}
	}
	t, err := p.announced(ctx, key, id)
	if err != nil && p.Now().Sub(end.ReceivedAt) > endRecordTime {
		p.Log.Error("end of announcement not recorded", "decision", id, "error", err)
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

// announced returns the task of an announcement, with its record.
func (p *Performer) announced(ctx context.Context, key events.Key, id string) (*task, error) {
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
