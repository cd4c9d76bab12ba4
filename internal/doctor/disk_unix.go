//go:build linux || darwin

package doctor

import "syscall"

// volume returns the size of the volume that contains path, and what is free on
// it for users other than root, in bytes.
func volume(path string) (size, free int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, 0, err
	}
	block := int64(s.Bsize) //nolint:unconvert // 32 bits wide on some systems
	return int64(s.Blocks) * block, int64(s.Bavail) * block, nil
}

// writing is W_OK of access(2).
const writing = 2

// mayWrite reports whether this user may create a file in a folder, without creating one.
func mayWrite(path string) bool { return syscall.Access(path, writing) == nil }
