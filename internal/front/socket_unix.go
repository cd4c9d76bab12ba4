//go:build linux || darwin

package front

import (
	"net"
	"syscall"
)

// arrived reports whether a connection has bytes that were not read, or has ended: on a busy machine
// a request may be in the kernel for longer than an idle connection is kept.
func arrived(peer net.Conn) (some bool) {
	control(peer, func(fd int) {
		var next [1]byte
		n, _, err := syscall.Recvfrom(fd, next[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		some = err == nil && n > 0
	})
	return some
}

// shorten bounds the connections that the kernel holds for a port. After an error its own bound holds.
func shorten(port net.Listener, backlog int) {
	control(port, func(fd int) { _ = syscall.Listen(fd, backlog) })
}

// control calls do with a socket. A connection in memory has none.
func control(socket any, do func(fd int)) {
	if s, ok := socket.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { do(int(fd)) }) // an error means that it has ended
		}
	}
}
