package bus_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gavel/events"
	"gavel/internal/bus"
)

// callNews are facts as the projector publishes them: n mutes and unmutes of calls of three legs,
// with SIDs that have no pattern.
func callNews(n int) []events.News {
	var facts []events.News
	var key events.Key
	var legs [3]string
	for i := range n {
		if i%8 == 0 {
			key = events.Key{AccountSid: account, ConferenceSid: randomSid("CF")}
			legs = [3]string{randomSid("CA"), randomSid("CA"), randomSid("CA")}
		}
		at := time.Unix(1772442000+int64(i), 0)
		e := events.Event{
			AccountSid: account, ConferenceSid: key.ConferenceSid, CallSid: legs[i%3], ID: randomSid("")[:22],
			Kind: events.ParticipantMute, SequenceNumber: int64(i % 8), OccurredAt: at, ReceivedAt: at.Add(time.Duration(i) * 7919),
		}
		for _, p := range [][2]string{
			{"AccountSid", account}, {"ConferenceSid", key.ConferenceSid}, {"CallSid", e.CallSid}, {"FriendlyName", fmt.Sprint("support-", i/8)},
			{"SequenceNumber", fmt.Sprint(i % 8)}, {"StatusCallbackEvent", "participant-mute"}, {"Timestamp", at.UTC().Format(events.TimestampLayout)},
			{"Muted", "true"}, {"Hold", "false"}, {"Coaching", "false"}, {"StartConferenceOnEnter", "true"}, {"EndConferenceOnExit", "false"},
			{"ParticipantLabel", fmt.Sprint("agent-", i%50)},
		} {
			e.Params = append(e.Params, events.Param{Name: p[0], Value: p[1]})
		}
		facts = append(facts, events.News{
			Key: key, Kind: e.Kind, ID: e.ID, Position: events.Position{Sequence: uint64(i + 1)},
			Data: events.AppendCloudEvent(nil, &e, false, resourceOf(key, i/8)),
		})
	}
	return facts
}

func resourceOf(key events.Key, n int) []byte {
	uri := fmt.Sprintf("/2010-04-01/Accounts/%s/Conferences/%s", key.AccountSid, key.ConferenceSid)
	return fmt.Appendf(nil, `{"account_sid":%q,"api_version":"2010-04-01","call_sid_ending_conference":null,"date_created":"Mon, 02 Mar 2026 09:00:00 +0000",`+
		`"date_updated":"Mon, 02 Mar 2026 09:00:01 +0000","friendly_name":"support-%d","reason_conference_ended":null,"region":null,"sid":%q,"status":"in-progress",`+
		`"subresource_uris":{"participants":"%s/Participants.json","recordings":"%s/Recordings.json"},"uri":"%s.json"}`,
		key.AccountSid, n, key.ConferenceSid, uri, uri, uri)
}

func randomSid(prefix string) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it cannot fail
	return prefix + hex.EncodeToString(b[:])
}

// bytesOnDisk are all bytes of a stream's messages in the server's folder.
func bytesOnDisk(t *testing.T, dir, stream string) (sum int64) {
	t.Helper()
	blocks, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", stream, "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatalf("%s has no blocks, %v", stream, err)
	}
	for _, block := range blocks {
		info, err := os.Stat(block)
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}

// Two finished blocks of 8 MB and an unfinished one before. The unfinished one is compressed too
// when it is full.
func TestNewsOfAFormerStreamTakesLessThanHalfFromTheNextStartOfNATSAndReadsTheSame(t *testing.T) {
	t.Parallel()
	const facts = 12_000
	dir := t.TempDir()
	s := serverOn(t, dir)
	former := formerStreams()["GAVEL_EVENTS"]
	former.Name, former.MaxBytes = "GAVEL_EVENTS", 1<<30
	makeStream(t, s.ClientURL(), former)
	old := callNews(facts)
	b := openConfig(t, bus.Config{URL: s.ClientURL(), Replicas: 1})
	mustPublish(t, b, old)
	closeBus(t, b)
	stopServer(s)
	before := bytesOnDisk(t, dir, "GAVEL_EVENTS")

	s = serverOn(t, dir)
	b = openConfig(t, bus.Config{URL: s.ClientURL(), Replicas: 1})
	young := callNews(facts)
	mustPublish(t, b, young)
	wantTold(t, b, append(old[:16:16], young[:16]...))
	if got := timeline(t, b, young[0].Key); string(got[0].Data) != string(young[0].Data) {
		t.Errorf("a compressed fact is read as %s, and was published as %s", got[0].Data, young[0].Data)
	}
	closeBus(t, b)
	stopServer(s)
	after := bytesOnDisk(t, dir, "GAVEL_EVENTS") - before
	if after > before/2 {
		t.Errorf("%d facts take %d bytes more, and took %d without compression", facts, after, before)
	}
}
