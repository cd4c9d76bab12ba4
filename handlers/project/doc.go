// Package project is the consumer that keeps the picture: it fetches the journal
// lane by lane, folds what came, evaluates the rules, saves the picture and
// publishes the news. What an entry leads to is decided by package lanes; this
// package does what the caller of its state machine must do.
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
// The stages work on different batches at the same time, and each meets the
// batches in journal order. So folding overlaps with saving: while one batch is
// written to the store, the folder already evaluates the next. It cannot wait to
// read what the save wrote, so it folds onto what it left in its cache, assuming
// that the save will succeed. This is safe for two reasons. A conference in the
// cache is exactly what the save under way will store; the lane has one owner, and
// a save by a former owner fails the comparison of versions. And nothing leaves
// the process on the strength of the assumption: what a batch decided is published
// by the saver, after the batch before it was saved, and its news only after its
// own save. If a save fails, the session ends with everything in memory, and the
// next one begins again behind the last acknowledgement.
//
// Each record's news must come after the save that shows it, and the messages'
// acknowledgement after both. The order of the stages is that order.
//
// # Crashes
//
// A crash between any two steps repeats work and never repeats an effect. Package
// lanes says why for one entry. Two things are added here: whoever takes a lane
// over reads the position of the last news of each conference that may have been
// worked before, and sets all alarms of the lane again.
//
// # The picture
//
// The picture can be thrown away. When the store finds it lost, the lane fills it
// from the journal up to the consumer's ack floor, in memory, and writes each
// conference once. What lies above the floor passes through the pipeline, so that
// nothing is folded without being published.
//
// Reading order: project.go (what a projector needs), keeper.go (taking a lane
// over), session.go (how the stages are connected), batch.go; receive.go, fold.go,
// save.go and publish.go (the stages); loads.go, rearm.go and wakes.go (what goes
// on beside the batches); fill.go (from the journal), rebuild.go (by hand, beside
// the picture that is read).
package project
