package plague

import "time"

// An EventID is a place in the one ordered stream of events. A reader that
// keeps the last one it has seen misses nothing.
type EventID int64

// An Event is one transition or one act of a user, written in the transaction
// that did it. It is never changed afterwards.
type Event struct {
	ID      EventID
	At      time.Time
	Job     JobID     // 0: it concerns no job
	ArchJob ArchJobID // 0: it concerns no arch job
	What    string    // job, priority, arch_job, arches, builder, user, refused, farm, published, mail, hook, certificate
	From    string    // state before; empty: there was none
	To      string    // state after
	Who     string    // user or builder who caused it; empty: the farm
	Text    string    // for people
}
