package chain

// At returns the present mark of a lane.
func (s *Stored) At(lane int) Mark { return s.places[lane].mark }
