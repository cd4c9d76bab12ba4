package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"gavel/handlers/api"
)

// versionCommand prints versions.
type versionCommand struct{ outputFlag }

// Run prints them.
func (c *versionCommand) Run(t *terminal) error {
	v := versions()
	return c.print(t, v, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "gavel %s (%s, nats-server %s)\n", v.Gavel, v.Go, v.NATS)
		return err
	})
}

// natsModule is the module of the embedded server.
const natsModule = "github.com/nats-io/nats-server/v2"

// versions returns those that this binary was built from.
func versions() api.Version {
	v := api.Version{Gavel: "unknown", Go: runtime.Version(), NATS: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Gavel = info.Main.Version
	for _, module := range info.Deps {
		if module.Path == natsModule {
			v.NATS = module.Version
		}
	}
	return v
}
