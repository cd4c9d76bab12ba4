package projections

import (
	"cmp"
	"strings"
)

// Fetched is what Twilio's REST API returned about a conference that has ended and that no callback
// carries. An empty text is null at Twilio.
type Fetched struct {
	// Region is where the audio was mixed.
	Region string `json:"region,omitempty"`
	// Reason and CallSid are why it ended and which leg ended it. They count only where no callback
	// stated a reason, and rules do not read them.
	Reason  string `json:"reason,omitempty"`
	CallSid string `json:"call_sid,omitempty"`
	// At is when Twilio was called, on our clock.
	At Instant `json:"at"`
}

// foldFetched keeps the facts that were fetched first. A process that ended between the fetch and
// its acknowledgement leads to a second entry, which is a duplicate.
func (d *draft) foldFetched() (fresh bool, err error) {
	stated, err := d.e.Fetched()
	if err != nil {
		return false, err
	}
	f := Fetched{
		Region: strings.Clone(stated.Region), Reason: strings.Clone(stated.Reason),
		CallSid: strings.Clone(stated.CallSid), At: At(stated.At),
	}
	if d.Fetched != nil && compareFetched(*d.Fetched, f) <= 0 {
		return false, nil
	}
	d.Conference.Fetched = &f
	return true, nil
}

func compareFetched(a, b Fetched) int {
	return cmp.Or(
		cmp.Compare(a.At, b.At), strings.Compare(a.Region, b.Region),
		strings.Compare(a.Reason, b.Reason), strings.Compare(a.CallSid, b.CallSid),
	)
}

// Region is where Twilio mixed the audio; empty until it was fetched.
func (c *Conference) Region() string {
	if c.Fetched == nil {
		return ""
	}
	return c.Fetched.Region
}

// Ended is End with the reason that was fetched from Twilio, or that the summary of Event Streams
// states, if no callback stated one. It is for
// people and for Twilio's shape: rules read End. An end that is inferred has a reason, and no time,
// once Twilio has confirmed it.
func (c *Conference) Ended() *Ending {
	if c.End == nil && c.Fetched != nil && c.EndInferred() {
		return &Ending{Reason: c.Fetched.Reason, CallSid: c.Fetched.CallSid}
	}
	if c.End == nil || c.End.Reason != "" {
		return c.End
	}
	for _, f := range []*Fetched{c.Fetched, c.Summarized} {
		if f != nil && f.Reason != "" {
			end := *c.End
			end.Reason, end.CallSid = f.Reason, cmp.Or(end.CallSid, f.CallSid)
			return &end
		}
	}
	return c.End
}

// withReason is the conference with the ending that Ended returns.
func (c *Conference) withReason() *Conference {
	end := c.Ended()
	if end == c.End {
		return c
	}
	with := *c
	with.End = end
	return &with
}
