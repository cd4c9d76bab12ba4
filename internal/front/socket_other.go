//go:build !linux && !darwin

package front

import "net"

func arrived(net.Conn) bool { return false }

func shorten(net.Listener, int) {}
