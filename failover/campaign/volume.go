//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"

	"gavel/internal/wholefile"
)

// volume is an ext4 file system in a file, whose power can be cut.
type volume struct {
	w               *world
	image, dir, dev string
	mounted         bool
}

// ext4Shutdown with noLogFlush drops all that was not synced, also the file system's own log
// (linux/fs/ext4/ext4.h, EXT4_IOC_SHUTDOWN).
const (
	ext4Shutdown = 0x8004587d
	noLogFlush   = 2
)

func (w *world) volume(megabytes int) *volume {
	v := &volume{w: w, image: filepath.Join(w.dir, "volume.img"), dir: filepath.Join(w.dir, "volume")}
	must("make a directory", os.Mkdir(v.dir, 0o700))
	must("make a volume", os.WriteFile(v.image, nil, 0o600))
	must("make a volume", os.Truncate(v.image, int64(megabytes)<<20))
	run("mkfs.ext4", "-q", "-F", v.image)
	v.dev = run("losetup", "-f", "--show", v.image)
	w.ends = append(w.ends, func() {
		v.unmount()
		_ = exec.Command("losetup", "-d", v.dev).Run() // the image is removed after it
	})
	v.mount()
	must("write a file", wholefile.Write(v.synced(), "kept"))
	return v
}

func run(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		failf("%s %s: %v: %s (root, loop devices and ext4 are needed)", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// mount mounts without the options that write files back early on their own.
func (v *volume) mount() {
	run("mount", "-o", "noauto_da_alloc,commit=300", v.dev, v.dir)
	v.mounted = true
}

func (v *volume) unmount() {
	if v.mounted {
		v.mounted = exec.Command("umount", v.dir).Run() != nil
	}
}

// cut cuts the power: everything in memory is gone. No process may use the volume any more.
// Two files show each time that it works: one was synced when the volume was mounted, the other is
// written now. A sync here would also save what the process has left in memory.
func (v *volume) cut() {
	v.w.counts["cuts"]++
	unsynced := filepath.Join(v.dir, "unsynced")
	must("write a file", os.WriteFile(unsynced, []byte("lost"), 0o600))
	dir, err := os.Open(v.dir)
	must("cut the power", err)
	how := uint32(noLogFlush)
	_, _, code := syscall.Syscall(syscall.SYS_IOCTL, dir.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&how)))
	dir.Close()
	if code != 0 {
		failf("cut the power: %v", code)
	}
	run("umount", v.dir)
	v.mounted = false
	v.mount()
	if _, err := os.Stat(v.synced()); err != nil {
		v.w.counts["synced-lost"]++
	}
	if now, _ := os.ReadFile(unsynced); len(now) > 0 {
		v.w.counts["unsynced-kept"]++
	}
	must("remove a file", os.RemoveAll(unsynced))
}

func (v *volume) synced() string { return filepath.Join(v.dir, "synced") }

// percentUsed is how full the volume is.
func (v *volume) percentUsed() int {
	var s syscall.Statfs_t
	must("read the volume", syscall.Statfs(v.dir, &s))
	return int(100 - s.Bavail*100/s.Blocks)
}

// fill uses all free space and returns how it is released.
func (v *volume) fill() (release func()) {
	name := filepath.Join(v.dir, "filler")
	file, err := os.Create(name)
	must("fill the volume", err)
	block := make([]byte, 1<<20)
	for err == nil {
		_, err = file.Write(block)
	}
	file.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		failf("fill the volume: %v", err)
	}
	return func() { must("release space", os.Remove(name)) }
}

// group is a control group with limits, in which commands run (cgroup version 1 or 2).
type group struct{ procs []string }

// group limits memory in bytes and a processor's share in per cent.
func (w *world) group(memory int64, percent int) *group {
	g := &group{}
	name := fmt.Sprintf("gavel-campaign-%d-%d", os.Getpid(), w.round)
	set := func(dir, file, value string) {
		must("limit a control group", os.WriteFile(filepath.Join(dir, file), []byte(value), 0o600))
	}
	add := func(parent string) string {
		dir := filepath.Join(parent, name)
		must("make a control group", os.MkdirAll(dir, 0o700))
		g.procs = append(g.procs, filepath.Join(dir, "cgroup.procs"))
		w.ends = append([]func(){func() { _ = os.Remove(dir) }}, w.ends...) // after its processes
		return dir
	}
	const root, period = "/sys/fs/cgroup", 100_000
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		dir := add(root)
		set(dir, "memory.max", fmt.Sprint(memory))
		set(dir, "cpu.max", fmt.Sprintf("%d %d", period/100*percent, period))
		return g
	}
	set(add(filepath.Join(root, "memory")), "memory.limit_in_bytes", fmt.Sprint(memory))
	dir := add(filepath.Join(root, "cpu"))
	set(dir, "cpu.cfs_period_us", fmt.Sprint(period))
	set(dir, "cpu.cfs_quota_us", fmt.Sprint(period/100*percent))
	return g
}

// under is the command that runs another one in the group.
func (g *group) under() []string {
	script := ""
	for _, procs := range g.procs {
		script += "echo $$ > " + procs + " && "
	}
	return []string{"sh", "-c", script + `exec "$@"`, "sh"}
}
