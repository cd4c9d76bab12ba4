package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"time"
)

// requestsPerSecond is how many requests are prepared per second of load, more than any server here
// answers. They are signed beforehand, because the loader shares the cores with the server and
// should only send. All servers get the same requests.
const requestsPerSecond = 70_000

// requests are signed requests, each to be sent once.
type requests struct {
	raw  []byte
	ends []int
}

// at returns the nth request.
func (r *requests) at(n int) []byte {
	start := 0
	if n > 0 {
		start = r.ends[n-1]
	}
	return r.raw[start+lengthSize : r.ends[n]]
}

// lengthSize is the size of the length that precedes each request in the file.
const lengthSize = 4

// writeRequests signs count requests into a file.
func writeRequests(path string, count int) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make the file of requests: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	began := time.Now()
	for n := range count {
		raw := callbackAt(n, began).request(n)
		var length [lengthSize]byte
		binary.LittleEndian.PutUint32(length[:], uint32(len(raw)))
		w.Write(length[:])
		w.Write(raw)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write requests: %w", err)
	}
	return nil
}

// readRequests reads a file of writeRequests.
func readRequests(path string) (*requests, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read requests: %w", err)
	}
	r := &requests{raw: raw}
	for end := 0; end < len(raw); {
		end += lengthSize + int(binary.LittleEndian.Uint32(raw[end:]))
		r.ends = append(r.ends, end)
	}
	return r, nil
}
