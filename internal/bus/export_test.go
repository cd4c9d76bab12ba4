package bus

// StopServer stops the embedded server under the bus.
func (b *Bus) StopServer() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

// Deal is the pure part of the assignment of lanes.
var Deal = assign

// Ahead is how many bytes of data have arrived that no Next has returned, in all lanes.
func (b *Bus) Ahead() int64 { return b.lanes[0].ahead.held.Load() }
