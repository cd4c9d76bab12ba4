package project

import "context"

// Sample verifies one part of a lane now.
func (p *Projector) Sample(ctx context.Context, lane int) error {
	return p.keepers[lane].guard.sample(ctx)
}
