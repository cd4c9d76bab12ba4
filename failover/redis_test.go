package failover_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gavel/internal/redistest"
)

// redisLoad is high enough for every batch to write some records to the server that is killed.
const redisLoad = 100

// A Redis Cluster loses a master, and with it every write that the replica did not have yet.
func TestAClusterFailsOver(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartReplicatedCluster(t)
	w := newWorld(t, shape{redis: cluster.URL()})
	w.losesRedis(cluster.Nodes[0])
}

// Behind Sentinel the only master is killed.
func TestSentinelFailsOver(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	redistest.StartReplica(t, master)
	w := newWorld(t, shape{redis: redistest.StartSentinels(t, master, 3)})
	w.losesRedis(master)
}

// losesRedis kills a master under load. The door accepts every callback meanwhile, readers get no
// wrong answer, and in the end the picture is complete.
func (w *world) losesRedis(master *redistest.Server) {
	w.t.Helper()
	door := w.gavel("door")
	w.gavel("project")
	reader := w.gavel("serve") // is ready once the picture is filled
	load := w.callbacks(redisLoad, door.url)
	pass(w.t, settleTime)
	eventually(w.t, func() string { return w.unread(reader) })
	asked := w.readsOn(reader)

	killed := time.Now()
	master.Kill()
	eventually(w.t, func() string {
		if status, _, err := reader.get("/readyz"); err != nil || status == http.StatusOK {
			return fmt.Sprintf("the reader still answers: %v", err)
		}
		return ""
	})
	eventually(w.t, func() string { return w.unread(reader) })
	w.t.Logf("all conferences can be read again %s after a master was killed", time.Since(killed).Round(time.Millisecond))
	pass(w.t, settleTime)
	if missing := unanswered(load.stop()); missing != "" {
		w.t.Error(missing)
	}
	w.converges()
	asked()
}

// unread names a conference that cannot be read.
func (w *world) unread(reader *gavel) string {
	for _, room := range w.rooms {
		if status, body, err := reader.get(resource(room)); err != nil || status != http.StatusOK {
			return fmt.Sprintf("conference %s: %d %s %v", room, status, body, err)
		}
	}
	return ""
}

func resource(room string) string {
	return "/2010-04-01/Accounts/" + account + "/Conferences/" + room + ".json"
}

// readsOn fetches one conference after the other until over is called, and fails
// if an existing one was ever reported as not found.
func (w *world) readsOn(reader *gavel) (over func()) {
	w.t.Helper()
	stop, ended := make(chan struct{}), make(chan struct{})
	var answered, refused, denied atomic.Int64
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			switch status, _, err := reader.get(resource(w.rooms[n%len(w.rooms)])); {
			case err != nil || status == http.StatusServiceUnavailable:
				refused.Add(1)
			case status == http.StatusOK:
				answered.Add(1)
			default:
				denied.Add(1)
			}
		}
	}()
	return sync.OnceFunc(func() {
		w.t.Helper()
		close(stop)
		<-ended
		w.t.Logf("readers got %d answers and %d requests to retry", answered.Load(), refused.Load())
		if denied.Load() > 0 {
			w.t.Errorf("%d answers said that a conference does not exist", denied.Load())
		}
	})
}
