// Package project is the consumer that keeps the picture: it takes the journal
// lane by lane, folds what came, holds it against the rules, saves it, and tells
// the news.
//
// One batch goes through these steps, in this order, while the batches before and
// behind it are at another stage (lane.go):
//
//  1. parse the entries of the groups that wait; what can never be folded goes
//     to the dead letters,
//  2. load the records they are about (or take them from the lane's cache),
//  3. fold, and judge each entry right after its fold,
//  4. pronounce what was judged: matches, decisions, alarms,
//  5. save records and rule states by compare-and-set, then note the position
//     and with it what the lane itself knows of rules,
//  6. tell the news, and wait until it is acknowledged,
//  7. acknowledge the groups.
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
// What an entry leads to, the state machine of package lanes says; the steps
// above are its caller's duties. Alarms only bring wake-ups into the journal
// (wakes.go).
//
// Reading order: project.go (what it needs), lane.go (taking a lane over and
// keeping it), batch.go (the steps), judge.go (what a batch is told by rules);
// loads.go, rearm.go and wakes.go (what goes on beside the batches); fill.go
// (from the journal), rebuild.go (by hand, beside the living picture).
package project
