//go:build race

package act_test

// raceDetector: tests run under the race detector.
const raceDetector = true
