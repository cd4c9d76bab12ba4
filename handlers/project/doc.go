// Package project is the consumer that keeps the picture: it fetches the journal
// lane by lane, folds the entries, evaluates the rules, saves the picture and
// publishes the news. Package lanes computes the results of an entry; this package
// performs the duties of the caller of its state machine.
//
// # The pipeline
//
// A batch of journal messages passes through four stages, each a goroutine of its
// own, with a type that holds all that this goroutine owns:
//
//	receiver    fetch, parse
//	folder      load the conferences, step the state machine
//	saver       publish matches and decisions, set alarms, save, note the position
//	publisher   publish the news, put dead letters, acknowledge
//
// The stages work on different batches at the same time, and each meets the batches in journal
// order. So folding overlaps with saving: while one batch is written to the store, the folder
// already evaluates the next. It does not wait to read the result of the save; it folds onto its
// cache, on the assumption that the save will succeed. This is safe for two reasons. A conference
// in the cache is exactly what the save under way will store; the lane has one owner, and a save by
// a former owner fails the comparison of versions. And nothing leaves the process before the
// assumption is confirmed: the saver publishes a batch's decisions after the batch before it was
// saved, and its news follows its own save. If a save fails, the session ends with everything in
// memory, and the next one begins behind the last acknowledgement.
//
// Each record's news must come after the save that shows it, and the messages'
// acknowledgement after both. The order of the stages is that order.
//
// # Crashes
//
// A crash between any two steps repeats work and never repeats an effect. Package lanes gives the
// reason for one entry. This package adds two things: a projector that takes a lane over reads the
// position of the last news of each conference whose entries may have been processed before, and
// sets all alarms of the lane again.
//
// # The picture
//
// The picture can be discarded. When the store reports that it is lost, the lane fills it from the
// journal up to the consumer's ack floor, in memory, and writes each conference once. The entries
// above the floor pass through the pipeline, so that nothing is folded without being published.
//
// Reading order: project.go (what a projector needs), keeper.go (taking a lane over), session.go
// (how the stages are connected), batch.go; receive.go, fold.go, save.go and publish.go (the
// stages); loads.go, rearm.go and wakes.go (work beside the batches); fill.go (a picture from the
// journal), rebuild.go (one on request, beside the picture in use).
package project
