// Package lanes is the state machine of one lane of the journal: it folds entries into records,
// evaluates the rules, and returns what has to be written. It has no goroutine, no clock and no
// I/O, except for loading a compiled rule set by its version. The same entries lead to the same
// Ready, byte for byte, in every host: the projector, a rebuild, a test of rules.
//
// The host owns the conferences (in a cache, a map, a store) and all I/O. For
// each entry, in journal order, the host must:
//
//  1. Read the journal message into entries (Reader); store what cannot be read as dead
//     letters, before the message is acknowledged.
//  2. Load the entry's conference: as the last step left it, or as it is stored
//     (Open). A conference that is not stored is the zero Conference. If the
//     entry may have been applied before, set LastNews to the position of
//     its last news.
//  3. Call Step.
//  4. Process Ready, field by field in their order, each before the next begins:
//     append Matches to the journal, publish Decisions, set Alarm, save the
//     conference if it Changed, then save the position and, if LaneChanged, the
//     lane's state, then wake all conferences if a set was Loaded, publish News,
//     and store Letter as a dead letter.
//  5. Acknowledge the journal message, and call Announced once the news is
//     acknowledged.
//
// Several steps may be processed together: all Matches, then all Decisions, and
// so on, with one save for each conference. A crash between any two of these
// steps repeats entries from the last acknowledgement on and repeats no effect:
//
//   - A match is counted once by its ID, a decision is kept once by its ID, and
//     an alarm replaces the one before. So they may be sent before the save, and
//     must be: a saved conference does not lead to them again.
//   - A conference remembers the position that it has reached. An entry at or
//     before it changes nothing. Its news is published again only if the
//     conference still holds the fact as doubtful and LastNews is before it.
//   - The lane's state remembers its own position in the same way.
//
// A host that repeats entries whose effects are already done, as a rebuild
// does, calls Announced first and processes Changed and LaneChanged only.
//
// Reading order: machine.go (Step), ready.go (what it leads to), conference.go (one conference),
// evaluate.go (rules), state.go and count.go (what belongs to the lane as a whole), entry.go
// (reading a journal message). The scenarios in testdata show all of it.
package lanes
