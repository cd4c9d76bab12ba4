package doctor

import "gavel/internal/bus"

// NATS is the result of the examination of NATS.
type NATS struct {
	bus.Examination
	// Embedded is whether the server is part of Gavel's own process.
	Embedded bool
	// Declared is whether the settings state that its servers always sync.
	Declared bool
	// Fault is why no server answered; the rest is empty then.
	Fault error
}

// Findings judges NATS.
func (n NATS) Findings() []Finding {
	if n.Fault != nil {
		return []Finding{CheckNATS.fault("cannot be reached: %v", n.Fault).
			do("start it, or correct --nats, nats.credentials or nats.tls")}
	}
	found := []Finding{CheckNATS.ok("version %s at %s", n.Version, n.URL)}
	if n.VersionFault != nil {
		found[0] = CheckNATS.fault("%v", n.VersionFault).do("upgrade the servers; older ones lose acknowledged messages")
	}
	for _, s := range n.Streams {
		found = append(found, stream(s)...)
	}
	return append(found, n.stored(), n.sync())
}

// stored judges how much of its room the account uses.
func (n NATS) stored() Finding {
	if n.MaxStored <= 0 {
		return CheckNATS.ok("the account stores %s, without a limit of its own", size(n.Stored))
	}
	const remedy = "give NATS more room (max_file_store, a larger volume or the account's limit), or remove streams that are not Gavel's"
	switch part := float64(n.Stored) / float64(n.MaxStored); {
	case part >= bus.Full:
		return CheckNATS.fault("the account stores %s of the %s that it may: without room NATS accepts no callback", size(n.Stored), size(n.MaxStored)).do(remedy)
	case part >= bus.NearlyFull:
		return CheckNATS.warn("the account stores %s of the %s that it may", size(n.Stored), size(n.MaxStored)).do(remedy)
	}
	return CheckNATS.ok("the account stores %s of the %s that it may", size(n.Stored), size(n.MaxStored))
}

func stream(s bus.StreamState) []Finding {
	if s.Missing {
		return []Finding{CheckNATS.note("stream %s does not exist yet", s.Name).do("nothing: the first start creates it")}
	}
	found := room(s)
	if s.Expires > 0 {
		found = append(found, CheckNATS.warn("stream %s expires by the clock of NATS after %s, so a clock that is ahead once would empty it", s.Name, s.Expires).
			do("nats stream edit %s --max-age 0, and set its metadata gavel.max-age to %s: Gavel then removes old messages itself", s.Name, s.Expires))
	}
	if s.Fault != nil {
		found = append(found, CheckNATS.fault("%v", s.Fault).
			do("change it with the nats command line (`nats stream edit %s`); a property that cannot be changed needs a new stream", s.Name))
	}
	if s.Replicas < s.Wanted {
		found = append(found, CheckNATS.warn("stream %s has %s, but the settings require %d", s.Name, count(s.Replicas, "replica"), s.Wanted).
			do("nats stream edit %s --replicas %d, or change nats.replicas", s.Name, s.Wanted))
	}
	if s.Behind > 0 {
		are := "are"
		if s.Behind == 1 {
			are = "is"
		}
		found = append(found, CheckNATS.warn("stream %s: %s %s behind; the next server that fails may stop the stream", s.Name, count(s.Behind, "replica"), are).
			do("check the NATS servers: one is down or behind"))
	}
	if len(found) == 0 {
		limit := ""
		if s.MaxBytes > 0 {
			limit = " of " + size(s.MaxBytes)
		}
		return []Finding{CheckNATS.ok("stream %s has %s and %s%s of data", s.Name, count(s.Replicas, "replica"), size(s.Bytes), limit)}
	}
	return found
}

// room judges how full a stream is that refuses messages at its limit, and
// whether a stream has the limit that protects the journal's space.
func room(s bus.StreamState) []Finding {
	const edit = "nats stream edit %s --max-bytes N"
	if s.Unlimited {
		return []Finding{CheckNATS.warn("stream %s has no limit in bytes and may use the journal's space", s.Name).do(edit, s.Name)}
	}
	if !s.Refuses || s.MaxBytes <= 0 {
		return nil
	}
	part := float64(s.Bytes) / float64(s.MaxBytes)
	switch {
	case part >= bus.Full:
		return []Finding{CheckNATS.fault("stream %s is %.0f %% full; a full stream accepts no messages", s.Name, 100*part).do("raise its limit:  "+edit, s.Name)}
	case part >= bus.NearlyFull:
		return []Finding{CheckNATS.warn("stream %s is %.0f %% full", s.Name, 100*part).do("raise its limit:  "+edit, s.Name)}
	}
	return nil
}

// sync judges whether acknowledged messages survive a power cut. A client
// cannot read a server's sync_interval.
func (n NATS) sync() Finding {
	switch {
	case n.Embedded:
		return CheckNATS.ok("the embedded server syncs as --sync defines; Gavel checks that at every start")
	case n.Declared:
		return CheckNATS.ok("sync is declared as always; a client cannot check it").
			do("nothing, if the configuration of every server has sync_interval: always")
	}
	return CheckNATS.warn("acknowledged callbacks may not survive a power cut: up to two minutes of them may be lost").
		do("set sync_interval: always on every server, then declare it with --sync always")
}
