//go:build linux || darwin

package doctor

import "syscall"

// volume is the size of the volume that holds path, and what of it is free for a
// user who is not root, in bytes.
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

// mayWrite reports whether this user could make a file in a folder, without
// making one.
func mayWrite(path string) bool { return syscall.Access(path, writing) == nil }
