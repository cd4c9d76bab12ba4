package redistest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// answerWithin bounds one command.
const answerWithin = time.Minute

// do implements the protocol itself, so that this package needs no client:
// clients are tested with it.
func (s *Server) do(args ...string) (string, error) {
	conn, err := s.dial()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := send(conn, args); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// bulk sends a command whose answer is one bulk string.
func (s *Server) bulk(args ...string) (string, error) {
	conn, err := s.dial()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := send(conn, args); err != nil {
		return "", err
	}
	r := bufio.NewReader(conn)
	var length int
	if _, err := fmt.Fscanf(r, "$%d\r\n", &length); err != nil {
		return "", err
	}
	answer := make([]byte, length)
	_, err = io.ReadFull(r, answer)
	return string(answer), err
}

func (s *Server) dial() (net.Conn, error) {
	conn, err := net.DialTimeout("unix", s.Socket(), answerWithin)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func send(conn net.Conn, args []string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	_, err := conn.Write([]byte(b.String()))
	return err
}
