package lanes

// SetEngine makes the machine that of a build with another engine.
func (m *Machine) SetEngine(engine int) { m.engine = engine }
