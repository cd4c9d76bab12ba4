//go:build !(linux || darwin)

package natsd

import (
	"errors"
	"os"
)

var errNoEmbedded = errors.New("the embedded NATS server runs on Linux and macOS only; use an external one")

func lock(string) (*os.File, error) { return nil, errNoEmbedded }

func volume(string) (size, free int64, err error) { return 0, 0, errNoEmbedded }
