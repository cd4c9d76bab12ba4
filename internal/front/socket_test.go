//go:build linux

package front

import (
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// tcp returns a server on a port of this machine, and both ends of a connection to it.
func tcp(t *testing.T) (s *Server, client, peer net.Conn) {
	t.Helper()
	port, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = port.Close() })
	s = New(port, &http.Server{}, 2_400, "/twilio/conference")
	if client, err = new(net.Dialer).DialContext(t.Context(), "tcp", port.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if peer, err = port.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), peer.Close() })
	return s, client, peer
}

// White box: a request lies in the kernel for long only on a machine that is busy otherwise. A
// connection that was ended meanwhile would lose it, and in an overload all were.
func TestAConnectionWhoseRequestIsInTheKernelDoesNotMakeRoom(t *testing.T) {
	t.Parallel()
	s, client, peer := tcp(t)
	c := newConn(s, peer)
	s.ticks.Add(100)
	if _, err := client.Write([]byte("POST")); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); !arrived(peer); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("four bytes did not arrive")
		}
	}
	if c.yield() {
		t.Error("it made room although a request has come")
	}
	if _, err := peer.Read(make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	if !c.yield() {
		t.Error("it waits for nothing, and made no room")
	}
}

// In a longer queue senders give up before their turn.
func TestTheKernelHoldsAnEighthOfThePlaces(t *testing.T) {
	t.Parallel()
	s, _, _ := tcp(t)
	var got uint32
	control(s.port, func(fd int) {
		var info [104]byte // struct tcp_info
		size := uint32(len(info))
		_, _, fault := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if fault != 0 {
			t.Errorf("read the port's state: %v", fault)
		}
		const queue = 28 // tcpi_sacked, which is the length of the queue for a port
		got = *(*uint32)(unsafe.Pointer(&info[queue]))
	})
	if got != 2_400/8 {
		t.Errorf("it holds %d connections", got)
	}
}
