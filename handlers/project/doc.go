// Package project is the consumer that keeps the picture: it takes the journal
// lane by lane, folds what came, saves it, and tells the news.
//
// One batch goes through six steps, in this order, while the batches before and
// behind it are at another stage (lane.go):
//
//  1. parse the entries of the groups that wait; what can never be folded goes
//     to the dead letters,
//  2. load the records they are about (or take them from the lane's cache),
//  3. fold,
//  4. save the records by compare-and-set, then note the position,
//  5. tell the news, and wait until it is acknowledged,
//  6. acknowledge the groups.
//
// A crash between any two steps repeats work and never repeats an effect.
// Three things see to that. The record remembers the last journal position
// worked into it, so that an entry at or before that position is known to be
// worked again. Beside the record stand the facts that may not have been told
// yet, each with the position that first folded it: worked again at that
// position a fact is told again, at any other it is a double and stays silent.
// And whoever takes a lane over asks the stream of news, once for each
// conference in doubt, how far it was told.
//
// The picture can be thrown away. When the store finds it lost, the lane fills
// it from the journal up to the consumer's ack floor, in memory, and writes
// each conference once; what lies above the floor goes the way above, so that
// nothing is folded without being told.
//
// Reading order: project.go (what it needs), lane.go (taking a lane over and
// keeping it), batch.go (the six steps), fill.go (from the journal),
// rebuild.go (by hand, beside the living picture).
package project
