package twiliofake

import "time"

// Phone is what happens when a number is called: the call waits in the queue,
// rings, and is answered or not.
type Phone struct {
	// Queued is how long the call waits before it rings.
	Queued time.Duration
	// Ringing is how long it rings.
	Ringing time.Duration
	// Fails is how the call ends instead of being answered: "busy",
	// "no-answer", "failed", "canceled"; "" means answered.
	Fails string
}

// willingPhone is a phone that is answered.
func willingPhone(string) Phone {
	return Phone{Queued: 200 * time.Millisecond, Ringing: time.Second}
}

// noAnswer is how a call ends that rang and was not answered.
const noAnswer = "no-answer"

// ringBuffer is what Twilio adds to a call's Timeout (Twilio, Participant resource: Timeout).
const ringBuffer = 5 * time.Second

// outgoing is a call to a participant added by REST.
type outgoing struct {
	phone      Phone
	earlyMedia bool // it is in the conference from the first ring
	timeout    time.Duration
	timeLimit  time.Duration // of the answered call; 0 means no limit
}

// dial calls a participant that was added by REST. When a leg with early media enters is not
// confirmed; that a ringing one counts for the start of a conference has been observed. A call that
// is busy, fails or is canceled has no media, and Twilio reports only its leave.
func (t *Twilio) dial(p *participant, o outgoing) {
	if longest := o.timeout + ringBuffer; o.phone.Ringing > longest {
		o.phone.Ringing, o.phone.Fails = longest, noAnswer
	}
	t.later(p, o.phone.Queued, func() {
		p.status = statusRinging
		if o.earlyMedia && (o.phone.Fails == "" || o.phone.Fails == noAnswer) {
			t.enter(p)
		}
		t.later(p, o.phone.Ringing, func() { t.answer(p, o) })
	})
}

func (t *Twilio) answer(p *participant, o outgoing) {
	if o.phone.Fails != "" {
		t.takeOut(p, notReached(o.phone.Fails))
		return
	}
	p.status, p.updated = statusConnected, t.clock.Now()
	if !p.entered {
		t.enter(p)
	}
	if o.timeLimit > 0 {
		t.later(p, o.timeLimit, func() { t.takeOut(p, hangUp) })
	}
}

// later executes do for a participant after d, unless it has left by then.
func (t *Twilio) later(p *participant, d time.Duration, do func()) {
	t.agenda.after(d, func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.legs[p.callSid] == p {
			do()
		}
		return nil
	})
}
