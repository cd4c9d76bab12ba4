package bus

// StopServer takes the embedded server away under the bus.
func (b *Bus) StopServer() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

// Deal is the pure part of sharing lanes.
var Deal = deal
