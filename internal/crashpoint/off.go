//go:build !crashpoints

package crashpoint

// Pass goes by a point.
func Pass(Point) {}
