package failover_test

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// A door, a projector and a reader each run in a separate process, and each
// serves only the endpoints of its role.
func TestEachRoleHasAProcessOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shape{})
	door, projector := w.gavel("door"), w.gavel("project")
	reader := w.gavel("serve")
	load := w.callbacks(takeoverLoad, door.url)
	eventually(t, func() string { return w.unread(reader) })
	if missing := unanswered(load.stop()); missing != "" {
		t.Error(missing)
	}
	w.converges()
	if owned := projector.owned(); len(owned) != w.lanes {
		t.Errorf("the only projector owns the lanes %v", owned)
	}

	for _, c := range []struct {
		process *gavel
		path    string
		want    int
	}{
		{door, "/v1/conferences", http.StatusNotFound},
		{door, resource(w.rooms[0]), http.StatusNotFound},
		{projector, "/v1/conferences", http.StatusNotFound},
		{projector, "/twilio/conference", http.StatusNotFound},
		{reader, "/twilio/conference", http.StatusNotFound},
		{reader, "/v1/conferences", http.StatusOK},
	} {
		if status, body, err := c.process.get(c.path); status != c.want {
			t.Errorf("%s answers %s with %d %s %v, want %d", c.process.name, c.path, status, body, err, c.want)
		}
	}
}

// A role whose data no other process could reach is refused, with the remedy.
func TestARoleThatCouldNotWorkIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ args, want string }{
		"project on an embedded NATS":  {"--roles project --redis redis://127.0.0.1:1", "the embedded NATS gets its events from this process's door; add door, or set --nats"},
		"project on an embedded Redis": {"--roles project --nats nats://127.0.0.1:1", "the embedded Redis is filled by project and read by serve in one process; name both or neither, or set --redis"},
		"serve on an embedded Redis":   {"--roles serve,door", "the embedded Redis is filled by project and read by serve in one process"},
		"a role that does not exist":   {"--roles doors", "--roles: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command := exec.CommandContext(t.Context(), gavelBinary(t), append([]string{"serve", "--data-dir", t.TempDir()}, strings.Fields(c.args)...)...)
			command.Env = []string{"TWILIO_ACCOUNT_SID=" + account, "TWILIO_AUTH_TOKEN=" + token}
			out, err := command.CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.want) {
				t.Errorf("it exited with %v:\n%s", err, out)
			}
		})
	}
}
