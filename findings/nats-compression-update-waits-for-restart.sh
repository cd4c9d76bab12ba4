#!/usr/bin/env bash
# Versions: nats-server 2.15.3, nats.go 1.55.0.
#
# Behaviour: a stream in files is updated from no compression to S2. The update succeeds and the
# stream's information shows s2 at once, but blocks that are written afterwards are still stored
# uncompressed. Only after a restart of the server are new blocks compressed; blocks that were full
# before stay as they are. A stream that is created with S2 is compressed from its first block.
#
# Why it matters: the operator who turns compression on because a volume fills up sees "s2", and the
# volume keeps filling at the same rate.
#
# Output seen (bytes on disk for each 48 MiB of equal, compressible messages):
#   created with s2: compressed
#   after the update: not compressed
#   after a restart: compressed
#
# Exit status: 0 as stated, 1 changed, 2 could not run. Needs Go 1.26 and the module proxy; about a
# minute. The server opens no port.
set -u
folder=$(mktemp -d) || exit 2
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder" || exit 2
cat > go.mod <<'MOD'
module finding

go 1.26

require (
	github.com/nats-io/nats-server/v2 v2.15.3
	github.com/nats-io/nats.go v1.55.0
)
MOD
cat > main.go <<'GO'
package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	messages = 768
	size     = 64 << 10 // bytes of a message
)

func main() {
	ctx := context.Background()
	dir := os.Args[1]
	js, stop := start(dir)
	news := jetstream.StreamConfig{Name: "NEWS", Subjects: []string{"news"}, Storage: jetstream.FileStorage}
	made := jetstream.StreamConfig{Name: "MADE", Subjects: []string{"made"}, Storage: jetstream.FileStorage, Compression: jetstream.S2Compression}
	_, err := js.CreateStream(ctx, news)
	check(err)
	_, err = js.CreateStream(ctx, made)
	check(err)
	seen := fmt.Sprintln("created with s2:", grown(js, dir, "made"))

	news.Compression = jetstream.S2Compression
	stream, err := js.UpdateStream(ctx, news)
	check(err)
	if got := stream.CachedInfo().Config.Compression; got != jetstream.S2Compression {
		log.Fatalf("the update left the compression %s", got)
	}
	seen += fmt.Sprintln("after the update:", grown(js, dir, "news"))
	stop()
	js, stop = start(dir)
	seen += fmt.Sprintln("after a restart:", grown(js, dir, "news"))
	stop()
	fmt.Print(seen)
	if seen != "created with s2: compressed\nafter the update: not compressed\nafter a restart: compressed\n" {
		os.Exit(3)
	}
}

// grown publishes messages and says whether the folder grew by less than half of their size.
func grown(js jetstream.JetStream, dir, subject string) string {
	before := bytesIn(dir)
	body := bytes.Repeat([]byte("conference "), size/11)
	for range messages {
		_, err := js.Publish(context.Background(), subject, body)
		check(err)
	}
	time.Sleep(3 * time.Second) // the server compresses a full block in the background
	if bytesIn(dir)-before < messages*size/2 {
		return "compressed"
	}
	return "not compressed"
}

func bytesIn(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil // removed meanwhile
		}
		if info, err := e.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum
}

func start(dir string) (jetstream.JetStream, func()) {
	s, err := server.NewServer(&server.Options{JetStream: true, StoreDir: dir, DontListen: true, NoSigs: true})
	check(err)
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		log.Fatal("the server is not ready")
	}
	nc, err := nats.Connect("", nats.InProcessServer(s))
	check(err)
	js, err := jetstream.New(nc)
	check(err)
	return js, func() { nc.Close(); s.Shutdown(); s.WaitForShutdown() }
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
GO
export GOFLAGS=-mod=mod
go build -o finding . || exit 2
timeout 240 ./finding "$folder/store"
case $? in
0) exit 0 ;;
3) exit 1 ;;
*) exit 2 ;;
esac
