package failover_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"gavel/internal/redistest"
)

// service is the part of a service in docker-compose.yml that a test needs.
type service struct {
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Volumes     []string          `yaml:"volumes"`
}

// TestTheServicesOfTheComposeFile runs the services as processes, with the
// commands, the environment and the files of docker-compose.yml; only paths,
// ports and names are replaced with those of this machine. What a container
// engine adds, such as images and a network, is not tested here.
func TestTheServicesOfTheComposeFile(t *testing.T) {
	t.Parallel()
	c := readCompose(t)
	c.startNATS("nats")
	c.startRedis("redis")
	door, projector := c.startGavel("door", c.door), c.startGavel("projector", "127.0.0.1:0")

	l := &load{rooms: c.w.rooms, client: http.DefaultClient}
	for n := range l.rooms {
		if status, err := l.post(door.url, l.form(n)); err != nil || status != http.StatusNoContent {
			t.Fatalf("callback %d: %d %v", n, status, err)
		}
	}
	if status, _, err := door.get(resource(c.w.rooms[0])); err != nil || status != http.StatusNotFound {
		t.Errorf("the door serves the picture: %d %v", status, err)
	}
	eventually(t, func() string {
		if status, _, err := projector.get(resource(c.w.rooms[0])); err != nil || status != http.StatusOK {
			return "the projector does not serve the callback that the door accepted"
		}
		return ""
	})
	for _, g := range []*gavel{door, projector} {
		if code := g.stop(); code != 0 {
			t.Errorf("%s exited with %d", g.name, code)
		}
	}
}

// compose is the file, and the replacements of its names on this machine.
type compose struct {
	w        *world
	door     string // address
	services map[string]service
	names    []string // pairs for a strings.Replacer
}

func readCompose(t *testing.T) *compose {
	t.Helper()
	raw, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]service `yaml:"services"`
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	door := "127.0.0.1:" + strconv.Itoa(freePorts(t, 1)[0])
	return &compose{
		door:     door,
		w:        &world{t: t, lanes: 8, rooms: roomsOf(8, t.Name())},
		services: file.Services,
		names: []string{
			"${GAVEL_PUBLIC_URL:-http://localhost:8080}", "http://" + door,
			"${TWILIO_ACCOUNT_SID:?set it to your account's SID}", account,
			"${TWILIO_AUTH_TOKEN:?set it to your account's auth token}", token,
		},
	}
}

// here returns a text of the file with its names replaced by those of this
// machine, mounted files included.
func (c *compose) here(text string, s service) string {
	names := c.names
	for _, volume := range s.Volumes {
		if file, at, ok := strings.Cut(strings.TrimSuffix(volume, ":ro"), ":"); ok && strings.HasPrefix(file, "./") {
			names = append(names, at, filepath.Join("..", file))
		}
	}
	return strings.NewReplacer(names...).Replace(text)
}

// command returns a service's command line for a program of this machine.
func (c *compose) command(program, name string) *exec.Cmd {
	c.w.t.Helper()
	s, there := c.services[name]
	if !there {
		c.w.t.Fatalf("docker-compose.yml has no service %s", name)
	}
	command := exec.Command(program)
	for _, arg := range s.Command {
		command.Args = append(command.Args, c.here(arg, s))
	}
	command.Env = []string{}
	for key, value := range s.Environment {
		command.Env = append(command.Env, key+"="+c.here(value, s))
	}
	return command
}

// startNATS starts NATS with the mounted configuration, on a port and a directory of this machine.
func (c *compose) startNATS(name string) {
	c.w.t.Helper()
	port, dir := strconv.Itoa(freePorts(c.w.t, 1)[0]), c.w.t.TempDir()
	command := c.command(natsBinary(c.w.t), name)
	mounted, err := os.ReadFile(command.Args[len(command.Args)-1])
	if err != nil {
		c.w.t.Fatal(err)
	}
	conf := strings.NewReplacer("0.0.0.0:4222", "127.0.0.1:"+port, "http: 127.0.0.1:8222", "", "/data", dir).Replace(string(mounted))
	path := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		c.w.t.Fatal(err)
	}
	command.Args[len(command.Args)-1] = path
	startProcess(c.w.t, name, command, io.Discard)
	c.names = append(c.names, "nats://nats:4222", "nats://127.0.0.1:"+port)
}

// startRedis starts Redis with the settings of the mounted configuration.
func (c *compose) startRedis(name string) {
	c.w.t.Helper()
	command := c.command("redis-server", name)
	mounted, err := os.ReadFile(command.Args[len(command.Args)-1])
	if err != nil {
		c.w.t.Fatal(err)
	}
	var settings []string
	for line := range strings.Lines(string(mounted)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if key == "" || key == "#" || key == "bind" {
			continue
		}
		settings = append(settings, "--"+key, value)
	}
	c.names = append(c.names, "redis://redis:6379", redistest.Start(c.w.t, settings...).URL())
}

// startGavel starts one of Gavel's services on an address of this machine, and
// waits until it is ready.
func (c *compose) startGavel(name, listen string) *gavel {
	c.w.t.Helper()
	command := c.command(gavelBinary(c.w.t), name)
	command.Env = append(command.Env, "GAVEL_LISTEN="+listen, "GAVEL_DATA_DIR="+c.w.t.TempDir())
	out, stdout := io.Pipe()
	c.w.t.Cleanup(func() { stdout.Close() })
	ready := make(chan string, 1)
	go announce(out, ready)
	g := &gavel{name: name, process: startProcess(c.w.t, name, command, stdout)}
	return c.w.awaitReady(beginning{g, ready})
}
