package picture

import (
	"encoding/binary"
	"errors"

	"gavel/events"
	"gavel/projections"
)

// The parts of a record are stored as numbers and texts in a fixed order:
// numbers as varints, texts after their length. The same record in JSON is
// three times as long, and every byte of a script's arguments costs Redis time.
// The form has no field names, so any change here needs a new layout (keys.go).

// encodeVersion returns the bytes that begin a core of that version and no core
// of another version: no varint is a prefix of another.
func encodeVersion(v uint64) string {
	if v == 0 {
		return ""
	}
	var room [binary.MaxVarintLen64]byte
	return string(binary.AppendUvarint(room[:0], v))
}

// decodeVersion reads the version that begins a core, 0 if the core is empty.
func decodeVersion(core string) uint64 {
	d := decoder{rest: core}
	return d.unsigned()
}

// encodeCore encodes the book and the conference without its participants,
// recordings and actions, and without the SIDs, which are in the key.
func encodeCore(c *projections.Conference, b projections.Book) string {
	var room usualSize
	return string(encoder(room[:0]).book(b).head(c))
}

func (d *decoder) core(s *projections.Stored) {
	d.book(&s.Book)
	d.head(s.Conference)
}

func (e encoder) book(b projections.Book) encoder {
	e = encoder(binary.AppendUvarint(e, b.Version))
	e = e.position(b.Applied).instant(b.LastEventAt).number(b.Due).count(len(b.Doubtful))
	for _, f := range b.Doubtful {
		e = e.text(f.ID).position(f.At).flag(f.Late)
	}
	return e
}

func (d *decoder) book(b *projections.Book) {
	b.Version, b.Applied, b.LastEventAt, b.Due = d.unsigned(), d.position(), d.instant(), d.number()
	b.Doubtful = many(d, func(d *decoder) projections.Doubt {
		return projections.Doubt{ID: d.text(), At: d.position(), Late: d.flag()}
	})
}

func (e encoder) head(c *projections.Conference) encoder {
	e = e.stated(c.FriendlyName)
	e = e.instant(c.Created).instant(c.Updated)
	e = e.flag(c.Start != nil)
	if c.Start != nil {
		e = e.moment(*c.Start)
	}
	e = e.flag(c.End != nil)
	if c.End != nil {
		e = e.moment(c.End.Moment)
		e = e.text(c.End.Reason).text(c.End.Text).text(c.End.CallSid).text(c.End.Label)
	}
	e = e.ranges(c.Seen).ranges(c.SpeechDropped)
	e = e.ranges(c.AnnouncementsEnded).ranges(c.AnnouncementsFailed)
	return e.flag(c.Truncated).tail(c)
}

// tail has the parts that most conferences lack. A record without all of them has no tail.
func (e encoder) tail(c *projections.Conference) encoder {
	if len(c.Undated)+len(c.Requests)+len(c.Summaries)+len(c.Dialled)+len(c.Removed)+len(c.Settled) == 0 && c.KeyRegion.Value == "" && c.Fetched == nil && c.Summarized == nil {
		return e
	}
	e = e.count(len(c.Undated))
	for _, u := range c.Undated {
		e = e.number(u.Seq).text(string(u.Kind)).text(u.CallSid).instant(u.At)
	}
	e = e.count(len(c.Requests))
	for _, r := range c.Requests {
		e = e.text(r.ID).text(string(r.Kind)).text(r.CallSid).text(r.Asked).number(r.Status).instant(r.At)
	}
	e = e.count(len(c.Summaries))
	for _, s := range c.Summaries {
		e = e.text(s)
	}
	e = e.stated(c.KeyRegion).count(len(c.Dialled))
	for _, l := range c.Dialled {
		e = e.text(l.CallSid).text(l.Status).flags(l.Flags).text(l.Label).text(l.Coach).instant(l.At).instant(l.Until).number(int64(l.Milli))
	}
	return e.fetched(c.Fetched).fetched(c.Summarized).text(string(c.Removed)).text(string(c.Settled))
}

func (e encoder) fetched(f *projections.Fetched) encoder {
	if e = e.flag(f != nil); f != nil {
		e = e.text(f.Region).text(f.Reason).text(f.CallSid).instant(f.At)
	}
	return e
}

func (d *decoder) fetched() *projections.Fetched {
	if !d.flag() {
		return nil
	}
	return &projections.Fetched{Region: d.text(), Reason: d.text(), CallSid: d.text(), At: d.instant()}
}

func (d *decoder) tail(c *projections.Conference) {
	if d.rest == "" {
		return
	}
	c.Undated = many(d, func(d *decoder) projections.Undated {
		return projections.Undated{Seq: d.number(), Kind: events.Kind(d.text()), CallSid: d.text(), At: d.instant()}
	})
	c.Requests = many(d, func(d *decoder) *projections.APIRequest {
		return &projections.APIRequest{
			ID: d.text(), Kind: events.Kind(d.text()), CallSid: d.text(), Asked: d.text(), Status: d.number(), At: d.instant(),
		}
	})
	c.Summaries = many(d, (*decoder).text)
	c.KeyRegion = d.stated()
	c.Dialled = many(d, func(d *decoder) *projections.Dialled {
		return &projections.Dialled{
			CallSid: d.text(), Status: d.text(), Flags: d.flags(), Label: d.text(), Coach: d.text(), At: d.instant(), Until: d.instant(),
			Milli: uint16(d.number()),
		}
	})
	c.Fetched, c.Summarized = d.fetched(), d.fetched()
	c.Removed, c.Settled = d.hashes(), d.hashes()
}

func (d *decoder) hashes() projections.Hashes {
	if packed := d.text(); packed != "" {
		return projections.Hashes(packed)
	}
	return nil
}

func (d *decoder) head(c *projections.Conference) {
	c.FriendlyName = d.stated()
	c.Created, c.Updated = d.instant(), d.instant()
	if d.flag() {
		c.Start = new(d.moment())
	}
	if d.flag() {
		c.End = &projections.Ending{
			Moment: d.moment(), Reason: d.text(), Text: d.text(), CallSid: d.text(), Label: d.text(),
		}
	}
	c.Seen, c.SpeechDropped = d.ranges(), d.ranges()
	c.AnnouncementsEnded, c.AnnouncementsFailed = d.ranges(), d.ranges()
	c.Truncated = d.flag()
	d.tail(c)
}

// encodeParticipant leaves out the CallSid, which is in the field's name.
func encodeParticipant(p *projections.Participant) string {
	var room usualSize
	e := encoder(room[:0]).instant(p.Created).instant(p.Updated)
	e = e.statedFlags(p.Flags)
	e = e.stated(p.Label)
	e = e.turns(p.Present).turns(p.Held).turns(p.Muted).turn(p.Last)
	e = e.flag(p.Left != nil)
	if p.Left != nil {
		e = e.moment(p.Left.Moment).text(p.Left.Reason).text(p.Left.CallStatus)
	}
	return string(e.legTail(p))
}

func (d *decoder) participant(p *projections.Participant) {
	p.Created, p.Updated = d.instant(), d.instant()
	p.Flags = d.statedFlags()
	p.Label = d.stated()
	p.Present, p.Held, p.Muted = d.turns(), d.turns(), d.turns()
	p.Last = d.turn()
	if d.flag() {
		p.Left = &projections.Leaving{Moment: d.moment(), Reason: d.text(), CallStatus: d.text()}
	}
	d.legTail(p)
}

// legTail is like tail.
func (e encoder) legTail(p *projections.Participant) encoder {
	if p.Summary == nil && p.Coach == (projections.Stated[string]{}) && p.Modified == 0 && p.Answer == nil && len(p.Waiting) == 0 {
		return e
	}
	e = e.flag(p.Summary != nil)
	if p.Summary != nil {
		e = e.instant(p.Summary.Joined).instant(p.Summary.Left)
	}
	e = e.stated(p.Coach).instant(p.Modified).flag(p.Answer != nil)
	if a := p.Answer; a != nil {
		e = e.flags(a.Flags).number(a.Behind).instant(a.At).number(int64(a.Milli)).statedFlags(a.Others)
	}
	return e.turns(p.Waiting)
}

func (d *decoder) legTail(p *projections.Participant) {
	if d.rest == "" {
		return
	}
	if d.flag() {
		p.Summary = &projections.LegSummary{Joined: d.instant(), Left: d.instant()}
	}
	p.Coach, p.Modified = d.stated(), d.instant()
	if d.flag() {
		p.Answer = &projections.Answer{
			Flags: d.flags(), Behind: d.number(), At: d.instant(), Milli: uint16(d.number()), Others: d.statedFlags(),
		}
	}
	p.Waiting = d.turns()
}

func encodeRecording(r *projections.Recording) string {
	e := make(encoder, 0, 256)
	e = e.text(r.Sid).text(r.URL).text(r.CallSid).count(len(r.Statuses))
	for _, s := range r.Statuses {
		e = e.text(s)
	}
	e = e.instant(r.StartedAt).number(r.Duration).number(r.Channels)
	return string(e.text(r.Source).number(r.FileSize).text(r.ErrorCode))
}

func (d *decoder) recording(r *projections.Recording) {
	r.Sid, r.URL, r.CallSid = d.text(), d.text(), d.text()
	r.Statuses = many(d, (*decoder).text)
	r.StartedAt, r.Duration, r.Channels = d.instant(), d.number(), d.number()
	r.Source, r.FileSize, r.ErrorCode = d.text(), d.number(), d.text()
}

// encodeAction leaves out the ID, which is in the field's name.
func encodeAction(a *projections.ActionRecord) string {
	e := make(encoder, 0, 256)
	e = e.text(string(a.Do)).text(a.CallSid).text(a.RecordingSid).text(a.Asked)
	e = e.text(a.Actor.Sid).text(a.Actor.Name).text(a.Actor.Rule).instant(a.At).flag(a.Intent)
	e = e.flag(a.Outcome != nil)
	if o := a.Outcome; o != nil {
		e = e.text(string(o.Result)).number(int64(o.Status)).number(int64(o.Code)).instant(o.At).text(o.Why)
	}
	return string(e)
}

func (d *decoder) action(a *projections.ActionRecord) {
	a.Do = events.Do(d.text())
	a.CallSid, a.RecordingSid, a.Asked = d.text(), d.text(), d.text()
	a.Actor = events.Actor{Sid: d.text(), Name: d.text(), Rule: d.text()}
	a.At, a.Intent = d.instant(), d.flag()
	if d.flag() {
		a.Outcome = &projections.ActionResult{
			Result: events.Result(d.text()), Status: int(d.number()), Code: int(d.number()), At: d.instant(), Why: d.text(),
		}
	}
}

// encoder is a buffer to which values are appended.
type encoder []byte

// usualSize is enough for most parts of a record, in bytes, so that encoding one
// allocates no more than its string.
type usualSize [512]byte

func (e encoder) number(n int64) encoder { return binary.AppendVarint(e, n) }

func (e encoder) count(n int) encoder { return binary.AppendUvarint(e, uint64(n)) }

func (e encoder) instant(i projections.Instant) encoder { return e.number(int64(i)) }

func (e encoder) text(s string) encoder { return append(e.count(len(s)), s...) }

func (e encoder) stated(t projections.Stated[string]) encoder {
	return e.number(t.Seq).text(t.Value).healed(t.Healed, t.Milli)
}

func (e encoder) statedFlags(t projections.Stated[projections.Flags]) encoder {
	return e.number(t.Seq).flags(t.Value).healed(t.Healed, t.Milli)
}

// healed has the milliseconds only behind a time: few values are healed.
func (e encoder) healed(at projections.Instant, milli uint16) encoder {
	if e = e.instant(at); at != 0 {
		e = e.number(int64(milli))
	}
	return e
}

func (e encoder) flag(on bool) encoder {
	if on {
		return append(e, 1)
	}
	return append(e, 0)
}

func (e encoder) position(p events.Position) encoder {
	return encoder(binary.AppendUvarint(e, p.Sequence)).count(p.Index)
}

func (e encoder) moment(m projections.Moment) encoder {
	return e.number(m.Seq).instant(m.At).flag(m.Healed)
}

func (e encoder) turn(t projections.Turn) encoder {
	if e = e.number(t.Seq).instant(t.At).flag(t.On).flag(t.Healed); t.Healed {
		e = e.number(int64(t.Milli))
	}
	return e
}

func (e encoder) turns(all []projections.Turn) encoder {
	e = e.count(len(all))
	for _, t := range all {
		e = e.turn(t)
	}
	return e
}

func (e encoder) ranges(r projections.Ranges) encoder {
	e = e.count(len(r))
	for _, x := range r {
		e = e.number(x[0]).number(x[1])
	}
	return e
}

func (e encoder) flags(f projections.Flags) encoder {
	return e.flag(f.Muted).flag(f.Hold).flag(f.Coaching).
		flag(f.EndConferenceOnExit).flag(f.StartConferenceOnEnter)
}

// decoder reads values from the front. After its first error every value is zero.
type decoder struct {
	rest string
	err  error
}

var errDamaged = errors.New("stored bytes are damaged")

// end returns the first error; bytes left over are an error.
func (d *decoder) end() error {
	if d.err == nil && d.rest != "" {
		d.fail()
	}
	return d.err
}

func (d *decoder) fail() { d.rest, d.err = "", errDamaged }

// unsigned reads a varint: binary.Uvarint for a string.
func (d *decoder) unsigned() uint64 {
	var x uint64
	for i := range min(len(d.rest), binary.MaxVarintLen64) {
		b := d.rest[i]
		x |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			d.rest = d.rest[i+1:]
			return x
		}
	}
	d.fail()
	return 0
}

func (d *decoder) number() int64 {
	u := d.unsigned()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads the number of values that follow; each has at least one byte.
func (d *decoder) count() int {
	n := d.unsigned()
	if n > uint64(len(d.rest)) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) text() string {
	n := d.count()
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) stated() projections.Stated[string] {
	t := projections.Stated[string]{Seq: d.number(), Value: d.text()}
	t.Healed, t.Milli = d.healed()
	return t
}

func (d *decoder) statedFlags() projections.Stated[projections.Flags] {
	t := projections.Stated[projections.Flags]{Seq: d.number(), Value: d.flags()}
	t.Healed, t.Milli = d.healed()
	return t
}

func (d *decoder) healed() (at projections.Instant, milli uint16) {
	if at = d.instant(); at != 0 {
		milli = uint16(d.number())
	}
	return at, milli
}

func (d *decoder) flag() bool {
	if d.rest == "" || d.rest[0] > 1 {
		d.fail()
		return false
	}
	on := d.rest[0] == 1
	d.rest = d.rest[1:]
	return on
}

func (d *decoder) instant() projections.Instant { return projections.Instant(d.number()) }

func (d *decoder) position() events.Position {
	return events.Position{Sequence: d.unsigned(), Index: int(d.unsigned())}
}

func (d *decoder) moment() projections.Moment {
	return projections.Moment{Seq: d.number(), At: d.instant(), Healed: d.flag()}
}

func (d *decoder) turn() projections.Turn {
	t := projections.Turn{Seq: d.number(), At: d.instant(), On: d.flag(), Healed: d.flag()}
	if t.Healed {
		t.Milli = uint16(d.number())
	}
	return t
}

func (d *decoder) turns() []projections.Turn { return many(d, (*decoder).turn) }

func (d *decoder) ranges() projections.Ranges {
	return many(d, func(d *decoder) [2]int64 { return [2]int64{d.number(), d.number()} })
}

func (d *decoder) flags() projections.Flags {
	return projections.Flags{
		Muted: d.flag(), Hold: d.flag(), Coaching: d.flag(),
		EndConferenceOnExit: d.flag(), StartConferenceOnEnter: d.flag(),
	}
}

// many reads a count and as many values; it returns nil for a count of 0.
func many[T any](d *decoder, read func(*decoder) T) []T {
	n := d.count()
	if n == 0 {
		return nil
	}
	out := make([]T, n)
	for i := range out {
		out[i] = read(d)
	}
	return out
}
