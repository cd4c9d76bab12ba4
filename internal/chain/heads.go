package chain

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"

	"github.com/cespare/xxhash/v2"

	"gavel/internal/wholefile"
)

// HeadsFile has the newest link of each lane. It is written with each batch and never synced, because
// that would cost a batch an fsync. So it survives a kill of the process and not a power cut: then the
// record in FileName, which is up to a second older, is the lane's.
const HeadsFile = "chain.heads"

// headWords are the numbers of a head: the record that it continues (three), the link (five) and a
// checksum. Each lane has its place in the file.
const (
	headWords = 9
	headBytes = 8 * headWords
)

// appendHead appends the place of a lane.
func appendHead(b []byte, r *Record) []byte {
	for _, n := range []uint64{
		uint64(r.Journal.Created), r.Accepted, r.Base.Sequence,
		r.Head.Sequence, r.Head.Sum, r.Head.Groups, r.Head.Bytes, uint64(r.Head.Stored),
	} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b))
}

// writeHead overwrites the place of a lane. Its error is of no use: the record of the lane is written
// soon.
func writeHead(path string, lane int, r *Record) {
	_ = wholefile.Overwrite(path, appendHead(make([]byte, 0, headBytes), r), int64(lane)*headBytes)
}

// readHeads moves the heads of lanes on. A place that is damaged, or of another record, is none.
func readHeads(path string, lanes map[int]Record) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for lane, r := range lanes {
		if len(raw) < (lane+1)*headBytes {
			continue
		}
		place := raw[lane*headBytes:][:headBytes]
		var n [headWords]uint64
		for i := range n {
			n[i] = binary.LittleEndian.Uint64(place[8*i:])
		}
		same := n[0] == uint64(r.Journal.Created) && n[1] == r.Accepted && n[2] == r.Base.Sequence
		if same && n[3] > r.Head.Sequence && n[headWords-1] == xxhash.Sum64(place[:headBytes-8]) {
			r.Add(Link{Sequence: n[3], Sum: n[4], Groups: n[5], Bytes: n[6], Stored: int64(n[7])})
			lanes[lane] = r
		}
	}
	return err
}
