package bus

// StopServer stops the embedded server under the bus.
func (b *Bus) StopServer() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

// Deal is the pure part of the assignment of lanes.
var Deal = assign
