package doctor

import "gavel/internal/bus"

// NATS is what was found out about NATS.
type NATS struct {
	bus.Examination
	// Embedded is a server in Gavel's own process.
	Embedded bool
	// Declared is whether the settings say that its servers sync always.
	Declared bool
	// Fault is why nobody could be asked; the rest is empty then.
	Fault error
}

// Findings judges NATS.
func (n NATS) Findings() []Finding {
	if n.Fault != nil {
		return []Finding{CheckNATS.fault("cannot be asked: %v", n.Fault).
			do("start it, or mend --nats, nats.credentials or nats.tls")}
	}
	found := n.server()
	for _, s := range n.Streams {
		found = append(found, stream(s)...)
	}
	return append(found, n.sync())
}

func (n NATS) server() []Finding {
	if n.VersionFault != nil {
		return []Finding{CheckNATS.fault("%v", n.VersionFault).do("upgrade the servers; older ones lose what they acknowledged")}
	}
	return []Finding{CheckNATS.ok("version %s at %s", n.Version, n.URL)}
}

func stream(s bus.StreamState) []Finding {
	if s.Missing {
		return []Finding{CheckNATS.note("stream %s is not there yet", s.Name).do("nothing: the first start makes it")}
	}
	found := room(s)
	if s.Fault != nil {
		found = append(found, CheckNATS.fault("%v", s.Fault).
			do("change it with the nats command line (`nats stream edit %s`); what cannot be changed needs a new stream", s.Name))
	}
	if s.Replicas < s.Wanted {
		found = append(found, CheckNATS.warn("stream %s has %s and the settings ask for %d", s.Name, count(s.Replicas, "replica"), s.Wanted).
			do("nats stream edit %s --replicas %d, or set nats.replicas to what is wanted", s.Name, s.Wanted))
	}
	if s.Behind > 0 {
		found = append(found, CheckNATS.warn("stream %s: %s not following; the next server that fails may stop it", s.Name, isAre(s.Behind, "replica")).
			do("look after the NATS servers: one is down or behind"))
	}
	if len(found) == 0 {
		return []Finding{CheckNATS.ok("stream %s, %s, holds %s", s.Name, count(s.Replicas, "replica"), size(s.Bytes))}
	}
	return found
}

// room judges how much of its limit a stream that refuses when it is full holds,
// and whether a stream has the limit that keeps it out of the journal's room.
func room(s bus.StreamState) []Finding {
	const edit = "nats stream edit %s --max-bytes N"
	if s.Unlimited {
		return []Finding{CheckNATS.warn("stream %s has no limit in bytes and may take the journal's room", s.Name).do(edit, s.Name)}
	}
	if !s.Refuses || s.MaxBytes <= 0 {
		return nil
	}
	part := float64(s.Bytes) / float64(s.MaxBytes)
	switch {
	case part >= bus.Full:
		return []Finding{CheckNATS.fault("stream %s is %.0f %% full; a full one takes nothing more", s.Name, 100*part).do("give it more: "+edit, s.Name)}
	case part >= bus.NearlyFull:
		return []Finding{CheckNATS.warn("stream %s is %.0f %% full", s.Name, 100*part).do("give it more: "+edit, s.Name)}
	}
	return nil
}

// sync says what an acknowledgement is worth. No client can ask a server for
// its sync_interval.
func (n NATS) sync() Finding {
	switch {
	case n.Embedded:
		return CheckNATS.ok("the embedded server syncs as --sync says; Gavel looks at that at every start")
	case n.Declared:
		return CheckNATS.ok("sync is declared to be always; no client can ask a server whether it is").
			do("nothing, if sync_interval: always stands in the configuration of every server")
	}
	return CheckNATS.warn("whether acknowledged callbacks survive a power cut is not known: up to two minutes of them may not").
		do("set sync_interval: always on every server, then say so with --sync always")
}
