package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// Processes of this program write a CPU profile to the file that profileVariable names; gavel,
// built with profilingSource, does the same for the duration in profileLasting.
const (
	profileVariable = "GAVEL_BENCH_CPUPROFILE"
	profileLasting  = "GAVEL_BENCH_CPUPROFILE_LASTING"
)

//go:embed profile/main.go.txt
var profilingSource []byte

// profilingOverlay adds profilingSource to cmd/gavel for one build.
func (s *workshop) profilingOverlay() (string, error) {
	return s.once("overlay.json", func(path string) error {
		source := path + ".go"
		if err := os.WriteFile(source, profilingSource, 0o600); err != nil {
			return err
		}
		added := filepath.Join(s.root, "cmd", "gavel", "bench_cpuprofile.go")
		overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{added: source}})
		if err != nil {
			return err
		}
		return os.WriteFile(path, overlay, 0o600)
	})
}

// profiled returns the environment that makes a child write its profile.
func (s *workshop) profiled(name string) []string {
	if s.profiles == "" {
		return nil
	}
	s.runs++
	path := filepath.Join(s.profiles, fmt.Sprintf("%s-%d.pprof", name, s.runs))
	return []string{profileVariable + "=" + path, profileLasting + "=" + s.lasting.String()}
}

// profile runs a mode of this program, with a CPU profile if the environment requests one.
func profile(mode func() error) (err error) {
	path := os.Getenv(profileVariable)
	if path == "" {
		return mode()
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make CPU profile: %w", err)
	}
	defer join(&err, f.Close)
	if err := pprof.StartCPUProfile(f); err != nil {
		return fmt.Errorf("start CPU profile: %w", err)
	}
	defer pprof.StopCPUProfile()
	return mode()
}
