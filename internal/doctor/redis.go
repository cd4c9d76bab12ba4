package doctor

import "gavel/projections/redisstore"

// Redis is the result of the examination of Redis.
type Redis struct {
	Servers []redisstore.ServerState
	// Fault is why no server answered.
	Fault error
}

// memoryFull is the part of maxmemory above which a Redis with noeviction soon refuses writes.
const memoryFull = 0.9

// Findings judges Redis.
func (r Redis) Findings() (found []Finding) {
	if r.Fault != nil {
		return []Finding{CheckRedis.fault("cannot be reached: %v", r.Fault).
			do("start it, or correct --redis and the user name, password or TLS files")}
	}
	for _, s := range r.Servers {
		found = append(found, server(s)...)
	}
	return found
}

func server(s redisstore.ServerState) (found []Finding) {
	if s.TooOld {
		found = append(found, CheckRedis.fault("version %s is too old", s.Version).do("upgrade it to %s or newer", s.Oldest))
	}
	if s.Policy != "" && s.Policy != "noeviction" {
		found = append(found, CheckRedis.warn("maxmemory-policy is %s: a full Redis drops conferences, and the picture is filled again each time", s.Policy).
			do("set maxmemory-policy noeviction, and maxmemory so that everything fits"))
	}
	if s.Max > 0 && float64(s.Used) > memoryFull*float64(s.Max) {
		found = append(found, CheckRedis.warn("%s of %s memory is used", size(s.Used), size(s.Max)).do("raise maxmemory, or shorten --keep"))
	}
	if s.SaveFailed {
		found = append(found, CheckRedis.warn("the last write to its disk failed, and it may refuse writes until one succeeds").
			do("check its log and its disk space; Gavel does not need it to write to disk at all"))
	}
	if len(found) == 0 {
		return []Finding{CheckRedis.ok("version %s, noeviction, %s", s.Version, keeps(s))}
	}
	return found
}

// keeps describes what survives a restart of Redis. Gavel needs none of it.
func keeps(s redisstore.ServerState) string {
	if s.AppendOnly {
		return "writes a log of changes to disk"
	}
	return "writes no log of changes: after a restart the picture may be filled from the journal, which is safe"
}
